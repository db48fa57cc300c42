"""A relayed connection whose two ends are in the test's own hands."""

from __future__ import annotations

import os
import socket
import threading

from tests.support.streams import receive_all
from tests.unit.server import client
from tests.unit.server.conftest import Running


class Peer:
    """The target's end of a connection through the server, in the test's own hands."""

    def __init__(self, running: Running) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(10)
            self.client = running.connect()
            assert client.ask(self.client, 5, *listener.getsockname()) == 0
            self.target, _ = listener.accept()
            self.target.settimeout(10)


def send(stream: socket.socket, data: bytes) -> None:
    """All of it, and then the end of file; for a thread of its own."""
    stream.sendall(data)
    stream.shutdown(socket.SHUT_WR)


def arrives(source: socket.socket, sink: socket.socket) -> bool:
    """Whether what is much is at the other end what it was, up to the end of file."""
    data = os.urandom(3 << 20)
    sender = threading.Thread(target=send, args=(source, data))
    sender.start()
    received = receive_all(sink)
    sender.join()
    return received == data
