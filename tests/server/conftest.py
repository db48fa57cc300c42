"""An embedded server that keeps its log, and connections to it."""

from __future__ import annotations

import queue
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from socksify.server import embedded

Connect = Callable[[], socket.socket]


@dataclass
class Running:
    """A server under test: `connect()` opens a connection to it, `line()` waits for the next line of its log."""

    server: embedded.Embedded
    lines: queue.Queue[str]
    connections: ExitStack

    def connect(self) -> socket.socket:
        address = (self.server.host, self.server.port)
        return self.connections.enter_context(socket.create_connection(address, timeout=10))

    def line(self) -> str:
        return self.lines.get(timeout=10)


@pytest.fixture
def running() -> Iterator[Running]:
    yield from run(None)


@pytest.fixture
def guarded() -> Iterator[Running]:
    """A server that lets alice in, with her password."""
    yield from run(lambda user, password: (user, password) == (b"alice", b"open sesame"))


def run(verify: Callable[[bytes, bytes], bool] | None) -> Iterator[Running]:
    lines: queue.Queue[str] = queue.Queue()
    server = embedded.start(verify, lines.put)
    try:
        with ExitStack() as connections:
            yield Running(server, lines, connections)
    finally:
        server.close()
