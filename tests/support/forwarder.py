"""A forwarder to a real proxy, for addresses that the proxy does not listen on: IPv6, a Unix socket."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from socksify import _originals
from tests.support.steps import _pump


@contextlib.contextmanager
def forwarding(address: tuple[str, int], listener: socket.socket) -> Iterator[list[object]]:
    """Forward connections that `listener` accepts to `address`. Yield the list of their peers."""
    peers: list[object] = []
    threads: list[threading.Thread] = []
    streams: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                client, peer = listener.accept()
            except OSError:
                return
            peers.append(peer)
            streams.append(client)
            threads.append(threading.Thread(target=_forward, args=(client, address, streams), daemon=True))
            threads[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield peers
    finally:
        _shut(listener)
        acceptor.join(5)
        listener.close()
        for stream in list(streams):
            _shut(stream)
        for thread in threads:
            thread.join(5)
        assert not any(thread.is_alive() for thread in [acceptor, *threads])


def _forward(client: socket.socket, address: tuple[str, int], streams: list[socket.socket]) -> None:
    with client, socket.socket() as upstream:
        streams.append(upstream)
        # The original connect() is never routed.
        _originals.connect(upstream, _originals.InternalAddress(address))
        back = threading.Thread(target=_pump, args=(upstream, client), daemon=True)
        back.start()
        _pump(client, upstream)
        back.join()


def _shut(stream: socket.socket) -> None:
    with contextlib.suppress(OSError):
        stream.shutdown(socket.SHUT_RDWR)


def listen_ipv6() -> socket.socket:
    """Forward from a port of ::1."""
    return socket.create_server(("::1", 0), family=socket.AF_INET6, backlog=256)


def listen_unix(path: Path) -> socket.socket:
    """Forward from a Unix socket."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    listener.listen(256)
    return listener
