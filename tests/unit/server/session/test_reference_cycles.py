"""A session leaves no reference cycle to the garbage collector, so sockd can switch the collector off."""

from __future__ import annotations

import gc
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from socksify.server.session.session import Session
from tests.support.streams import receive, receive_all
from tests.support.targets import Target
from tests.unit.server import client
from tests.unit.server.running import Running


@contextmanager
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def test_sessions_are_gone_when_they_are_over(running: Running, echo_server: Target) -> None:
    with uncollected():
        for host, code in (("127.0.0.1", 0), ("localhost", 0), ("x..y", 4)):
            stream = running.connect()
            assert client.ask(stream, 5, host, echo_server.port) == code
            stream.shutdown(socket.SHUT_WR)
            assert receive_all(stream) == b""
            assert running.report().outcome in ("done", "failed")
        assert any(forgotten(running) for _ in range(20))


def forgotten(running: Running) -> bool:
    """Returns True if at most one session is left beside the new one. A reference cycle would keep them all."""
    with running.connect() as stream:
        stream.sendall(client.GREETING)
        assert receive(stream, 2) == b"\x05\x00"
        known = [it for it in gc.get_objects() if isinstance(it, Session)]
        return sum(it._services is running.server._server.services for it in known) <= 2
