"""One direction of a relay, one step at a time."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, cast

import pytest

from socksify import _originals
from socksify.server.core.descriptors import SCRATCH, Pipes
from socksify.server.session.relay import ENDED, Flow
from tests.support.streams import receive_all

if TYPE_CHECKING:
    from socksify.server.session.relay import Relay


@contextlib.contextmanager
def connection() -> Iterator[tuple[socket.socket, _originals.Socket]]:
    """Yields the far end of a connection, and the near one."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as far:
        fd, _ = listener._accept()  # type: ignore[attr-defined]  # as the loop does
        with closing(_originals.Socket(fileno=fd)) as ours:
            far.settimeout(10)
            yield far, ours


@pytest.mark.parametrize("ends", [False, True], ids=["goes on", "ends"])
def test_bulk_does_not_stop_at_an_urgent_byte(ends: bool) -> None:
    """splice(2) stops there: it says EAGAIN, or end of file if the source has ended."""
    with connection() as (writer, source), connection() as (reader, sink), closing(Pipes()) as pipes:
        source.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        source.settimeout(5)
        flow = Flow(cast("Relay", None), source, sink, 0.0)
        writer.sendall(bytes(SCRATCH))
        assert len(source.recv(SCRATCH, socket.MSG_PEEK | socket.MSG_WAITALL)) == SCRATCH
        source.setblocking(False)
        sink.setblocking(False)
        flow.advance(pipes)
        writer.sendall(b"!", socket.MSG_OOB)
        if ends:
            writer.shutdown(socket.SHUT_WR)
        for _ in range(3):
            flow.advance(pipes)
        assert (flow.carried, flow.state == ENDED) == (SCRATCH + 1, ends)
        sink.shutdown(socket.SHUT_WR)
        assert receive_all(reader) == bytes(SCRATCH) + b"!"
