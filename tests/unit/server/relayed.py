"""A relayed connection, both ends of which the test holds."""

from __future__ import annotations

import os
import socket
import threading

from tests.support.streams import receive_all
from tests.unit.server import client
from tests.unit.server.running import Running


class Peer:
    """A connection through the server: `client` is its near end, `target` its far end."""

    def __init__(self, running: Running) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(10)
            self.client = running.connect()
            assert client.ask(self.client, 5, *listener.getsockname()) == 0
            self.target, _ = listener.accept()
            self.target.settimeout(10)


def send(stream: socket.socket, data: bytes) -> None:
    """Send all of the data and then the end of file. A thread of its own calls this."""
    stream.sendall(data)
    stream.shutdown(socket.SHUT_WR)


def arrives(source: socket.socket, sink: socket.socket) -> bool:
    """Return True if a large amount of data arrives unchanged, up to the end of file."""
    data = os.urandom(3 << 20)
    sender = threading.Thread(target=send, args=(source, data))
    sender.start()
    received = receive_all(sink)
    sender.join()
    return received == data
