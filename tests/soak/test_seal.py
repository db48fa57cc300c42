"""A hundred thousand sealed connects, and two hundred supervisors that are killed: `make soak`, for it takes minutes.

What a supervisor needs must not grow, and without it nothing goes anywhere.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.network.addresses import PROXY, TARGET4
from tests.support.network.recorded import RecordedNetwork
from tests.support.paths import ROOT
from tests.support.sealed import require_seal
from tests.support.servers import Server
from tests.support.targets import Target

CONNECTS = int(os.environ.get("SOAK", "1000"))
KILLS = max(10, CONNECTS // 500)
ROUNDS = 10
# Every second one leaves an entry, of which there are at most 32,768.
FILL = 70_000 if CONNECTS >= 100_000 else 0
# Python's allocator takes a MiB at a time. A short run has seen too little of it to be as strict.
MOST_GROWTH = 0.05 if CONNECTS >= 100_000 else 0.2
SECONDS = 60.0


@pytest.fixture(autouse=True)
def sealed_system() -> None:
    require_seal()


@pytest.mark.timeout(120 + (FILL + CONNECTS) // 50)
def test_nothing_is_left(microsocks: Server, echo_server: Target) -> None:
    with _sealed(microsocks.url(), "endings.churn", *echo_server.address) as program:
        # The tables of the supervisor are bounded. They have to be full before they can be seen not to grow.
        _churn(program, "close", FILL)
        [supervisor] = _children(program.pid)
        samples: list[tuple[int, int]] = []
        for _ in range(ROUNDS):
            _churn(program, "every", CONNECTS // ROUNDS)
            samples.append((_settled(supervisor, samples[0][0] if samples else sys.maxsize), _resident(supervisor)))
        # The first fifth is for warming up.
        descriptors, memory = zip(*samples[ROUNDS // 5 :], strict=True)
        # Now and then a connection ends later than the next round begins.
        assert min(descriptors[-3:]) <= descriptors[0], f"descriptors: {descriptors}, KiB: {memory}"
        assert max(memory) <= memory[0] * (1 + MOST_GROWTH), f"descriptors: {descriptors}, KiB: {memory}"


@pytest.mark.timeout(120 + 5 * KILLS)
def test_nothing_goes_past_a_dead_supervisor(network: RecordedNetwork) -> None:
    """It is killed at a random moment. The program's connects fail from then on, and none waits for ever."""
    chance = random.Random(0)
    with network.client() as client:
        # The namespace's mounts have another working directory.
        inside, url = client.command("env", "-C", str(ROOT)), f"socks5h://{PROXY[0]}:{PROXY[1]}"
        for _ in range(KILLS):
            with _sealed(url, "endings.until_one_fails", TARGET4, 7, inside) as program:
                assert program.stdout is not None
                assert program.stdout.readline() == "begun\n"
                [supervisor] = _children(program.pid)
                time.sleep(chance.uniform(0, 0.05))
                os.kill(supervisor, signal.SIGKILL)
                assert program.stdout.read() == "ENOSYS\n"
                assert program.wait(SECONDS) == 0
        # There were packets, and all were for the proxy.
        assert {(packet.target, packet.port) for packet in client.packets()} == {PROXY}


@contextlib.contextmanager
def _sealed(
    url: str, case: str, host: str, port: int, prefix: list[str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    program = [sys.executable, "-S", "-E", "-m", "tests.support.socket_calls", case, host, str(port)]
    command = [
        *(prefix or []),
        sys.executable,
        "-m",
        "socksify",
        "--seal=on",
        "--proxy",
        url,
        "--route",
        "*=proxy",
        *program,
    ]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        timer = threading.Timer(SECONDS + (FILL + CONNECTS) / 50, process.kill)
        timer.start()
        try:
            yield process
        finally:
            timer.cancel()
            process.kill()


def _churn(program: subprocess.Popen[str], way: str, count: int) -> None:
    assert program.stdin is not None and program.stdout is not None
    program.stdin.write(f"{way} {count}\n")
    program.stdin.flush()
    assert program.stdout.readline() == "done\n"


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _resident(pid: int) -> int:
    """KiB."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "VmRSS" in line]
    return int(line.split()[1])


def _settled(pid: int, usual: int) -> int:
    """Its descriptors, when they are no more than usual, or ten seconds later: the other ends close a moment after."""
    for _ in range(500):
        count = len(os.listdir(f"/proc/{pid}/fd"))
        if count <= usual:
            break
        time.sleep(0.02)
    return count
