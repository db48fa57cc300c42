"""Calls that are interrupted at every bytecode: they do not hang, mix no byte, and leave nothing behind.

Here at one bytecode of many, at others in each run; `make soak` walks over all of them.
"""

from __future__ import annotations

import itertools
import os
import secrets
import subprocess
import sys

import pytest

from tests.integration.interrupts.program import HANDLERS, RAISING
from tests.support.servers import Server
from tests.support.targets import Target

# As many bytecodes further each time.
STEP = int(os.environ.get("INTERRUPT_STEP", "97"))
SECONDS = 900 if STEP < 5 else 100

# What each run of the suite walks through, and what only the whole walk does.
WALKS = [
    ("connect", "Interrupted", "blocking"),
    ("connect", "Timeout", "timeout"),
    ("connect_ex", "Timeout", "timeout"),
    ("epoll", "KeyboardInterrupt", "nonblocking"),
    ("select", "Interrupted", "nonblocking"),
    ("close", "Interrupted", "nonblocking"),
    ("connect", "close", "blocking"),
    ("connect", "connect_again", "timeout"),
    ("connect", "send", "blocking"),
    ("connect", "connect_another", "blocking"),
    ("connect", "fork", "timeout"),
    ("connect", "fork_and_connect", "blocking"),
    ("epoll", "close", "nonblocking"),
    ("poll", "send", "nonblocking"),
    ("listen", "Interrupted", "blocking"),
    ("accept", "Timeout", "timeout"),
    ("wait_for_peer", "KeyboardInterrupt", "blocking"),
    ("accept", "connect_another", "blocking"),
    ("accept", "fork_and_connect", "blocking"),
]
if STEP < 5:
    POLLING = ("select", "poll", "epoll", "close")
    WALKS = [
        *itertools.product(("connect", "connect_ex"), (*RAISING, *HANDLERS), ("blocking", "timeout")),
        # A child shares its parent's epoll objects, as it does natively.
        *(
            (*walk, "nonblocking")
            for walk in itertools.product(POLLING, (*RAISING, *HANDLERS))
            if walk not in (("epoll", "fork"), ("close", "close"))
        ),
        *itertools.product(
            ("listen", "accept", "wait_for_peer"),
            (*RAISING, "connect_another", "duplicate", "fork_and_connect"),
            ("blocking", "timeout"),
        ),
    ]


def walk(scenario: str, action: str, mode: str, *proxy: str) -> dict[str, int]:
    """How often the calls ended in which way."""
    offset = secrets.randbelow(STEP)
    argv = [
        sys.executable,
        "-m",
        "tests.integration.interrupts.program",
        scenario,
        action,
        mode,
        str(STEP),
        str(offset),
        *proxy,
    ]
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
