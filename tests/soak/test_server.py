"""The server for minutes, with clients that come and go in every way: `make soak`. What it needs must not grow.

It is looked at between rounds, when the same few hundred clients are there each time and nothing else is going on: so
its descriptors can be compared to the last one, and its memory to within the noise of an allocator.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.running_sockd import Sockd, sockd
from tests.support.streams import receive
from tests.support.targets import Target
from tests.unit.server import client

SECONDS = float(os.environ.get("SOAK_SECONDS", "5"))
# The first fifth is for warming up. A short run has seen too little of the allocator to be as strict.
WARM_UP = 0.2
MOST_GROWTH = 0.02 if SECONDS >= 300 else 0.2
IDLE = 200
THREADS = 8
ABORT = struct.pack("ii", 1, 0)

Churn = Callable[[socket.socket, Target], object]


def talks(stream: socket.socket, target: Target) -> None:
    assert client.ask(stream, 5, *target.address) == 0
    stream.sendall(b"ping")
    assert receive(stream, 4) == b"ping"


def moves_bulk(stream: socket.socket, target: Target) -> None:
    assert client.ask(stream, 4, *target.address) == 0
    for _ in range(16):
        stream.sendall(bytes(65536))
        receive(stream, 65536)


def aborts(stream: socket.socket, target: Target) -> None:
    assert client.ask(stream, 5, *target.address) == 0
    stream.sendall(bytes(200_000))
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)


def names(stream: socket.socket, target: Target) -> None:
    assert client.ask(stream, 5, "localhost", target.port) == 0


def asks_nobody(stream: socket.socket, _: Target) -> None:
    assert client.ask(stream, 5, "127.0.0.1", 1) == 5


def says_nothing(_stream: socket.socket, _: Target) -> None:
    pass


def talks_nonsense(stream: socket.socket, _: Target) -> None:
    stream.sendall(os.urandom(40))


def waits_for_nobody(stream: socket.socket, _: Target) -> None:
    assert client.ask(stream, 5, "0.0.0.0", 0, client.BIND) == 0


def associates(stream: socket.socket, _: Target) -> None:
    assert client.ask(stream, 5, "0.0.0.0", 0, client.UDP_ASSOCIATE) == 0


CHURN: list[Churn] = [
    talks, moves_bulk, aborts, names, asks_nobody, says_nothing, talks_nonsense, waits_for_nobody, associates
]  # fmt: skip


def churn(server: Sockd, target: Target, turns: int) -> None:
    for turn in range(turns):
        with server.connect() as stream:
            CHURN[turn % len(CHURN)](stream, target)


def descriptors(server: Sockd) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def resident(server: Sockd) -> int:
    """KiB."""
    [line] = [line for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines() if "VmRSS" in line]
    return int(line.split()[1])


def settled(server: Sockd, usual: int) -> int:
    """Its descriptors, when they are no more than usual for a while, or ten seconds later.

    Nobody tells when the last round's clients are gone, and on a busy machine that takes its time.
    """
    counts = [descriptors(server)]
    for _ in range(500):
        time.sleep(0.02)
        counts.append(descriptors(server))
        if len({*counts[-10:]}) == 1 and len(counts) >= 10 and counts[-1] <= usual:
            break
    return counts[-1]


@pytest.mark.timeout(120 + 2 * SECONDS)
def test_nothing_grows(echo_server: Target) -> None:
    with sockd() as server, ExitStack() as stack, ThreadPoolExecutor(THREADS) as threads:
        for _ in range(IDLE):
            talks(stack.enter_context(server.connect()), echo_server)
        begun = time.monotonic()
        samples: list[tuple[float, int, int]] = []
        while (elapsed := time.monotonic() - begun) < SECONDS or len(samples) < 5:
            list(threads.map(lambda _: churn(server, echo_server, 5 * len(CHURN)), range(THREADS)))
            usual = samples[0][1] if samples else sys.maxsize
            samples.append((elapsed, settled(server, usual), resident(server)))
        served = [sample for sample in samples if sample[0] >= WARM_UP * elapsed]
        for what, kind in (("descriptors", 1), ("KiB", 2)):
            amounts = [sample[kind] for sample in served]
            assert max(amounts) <= amounts[0] * (1 + MOST_GROWTH), f"{what}: {amounts}"
        with server.connect() as stream:
            talks(stream, echo_server)
