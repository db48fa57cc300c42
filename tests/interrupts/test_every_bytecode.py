"""Calls that are interrupted at every bytecode: they do not hang, mix no byte, and leave nothing behind.

Here at one bytecode of many, at others in each run; `make soak` walks over all of them.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys

import pytest

from tests.interrupts.program import HANDLERS, RAISING
from tests.servers import Server
from tests.targets import Target

# As many bytecodes further each time.
STEP = int(os.environ.get("INTERRUPT_STEP", "67"))
SECONDS = 900 if STEP < 5 else 100

WALKS = [
    *(("connect", action, mode) for mode in ("blocking", "timeout") for action in RAISING),
    *((scenario, "Interrupted", "nonblocking") for scenario in ("select", "poll", "epoll", "close")),
    ("epoll", "Timeout", "nonblocking"),
    ("connect_ex", "Timeout", "timeout"),
    *(("connect", action, "blocking") for action in HANDLERS),
    *(("connect", action, "timeout") for action in ("close", "connect_again", "send", "fork")),
    *(("epoll", action, "nonblocking") for action in ("close", "connect_again", "send", "duplicate")),
    # A child shares its parent's epoll objects, as it does natively.
    *((kind, "fork", "nonblocking") for kind in ("select", "poll")),
    ("select", "close", "nonblocking"),
    ("poll", "send", "nonblocking"),
]


def walk(scenario: str, action: str, mode: str, *proxy: str) -> dict[str, int]:
    """How often the calls ended in which way."""
    offset = secrets.randbelow(STEP)
    argv = [sys.executable, "-m", "tests.interrupts.program", scenario, action, mode, str(STEP), str(offset), *proxy]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ended.returncode == 0, f"offset {offset}: {ended.stdout}{ended.stderr}"
    counts = [line.split(" ", 1) for line in ended.stdout.splitlines()]
    return {told: int(count) for count, told in counts}


@pytest.mark.timeout(SECONDS + 20)
@pytest.mark.parametrize(("scenario", "action", "mode"), WALKS)
def test_an_interrupted_call(scenario: str, action: str, mode: str) -> None:
    ended = walk(scenario, action, mode)
    assert not [told for told in ended if told.startswith("!")]
    assert sum(ended.values()) > 1


@pytest.mark.timeout(SECONDS + 20)
@pytest.mark.parametrize("action", ["Interrupted", "close"])
def test_an_interrupted_connect_through_a_real_server(action: str, microsocks: Server, echo_server: Target) -> None:
    ended = walk("connect", action, "blocking", microsocks.url(), str(echo_server.port))
    assert not [told for told in ended if told.startswith("!")]
