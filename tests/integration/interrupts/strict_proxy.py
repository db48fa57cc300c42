"""A SOCKS5 proxy, and the target behind it, that notices every byte that is out of place.

A program of its own, so that a client that forks takes nothing of it along. Prints `listening on 127.0.0.1:PORT`, and
then one line for each connection on which something else came than the handshake and, after its end, what an echo
server is sent here: `ping`, again and again. A BIND is answered twice at once: the peer has come.
"""

from __future__ import annotations

import select
import socket
import sys

GREETING = b"\x05\x01\x00"
REQUEST = b"\x05\x01\x00\x01\xcb\x00\x71\x05\x00\x50"
REPLY = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x30\x39"
BIND = b"\x05\x02\x00\x01\xcb\x00\x71\x05"
PEER = b"\x05\x00\x00\x01\xcb\x00\x71\x05\x04\xd2"
PAYLOAD = b"ping"


class Client:
    """One connection: what has come, and how much of it was answered."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        self.received = b""
        self.greeted = self.opened = False
        self.request = REQUEST
        self.echoed = 0

    def go_on(self) -> bool:
        """Read and answer; False at the end."""
        try:
            data = self.stream.recv(4096)
            self.received += data
            return bool(data) and self._answer()
        except OSError:
            return False

    def _answer(self) -> bool:
        if not self.greeted and self.received.startswith(GREETING):
            # A client that does not wait for it is out of place.
            if self.received != GREETING:
                return self._complain()
            self.greeted = True
            self.stream.send(b"\x05\x00")
        elif not self.opened and self.received == GREETING + REQUEST:
            self.opened = True
            self.stream.send(REPLY)
        elif not self.opened and self._is_bind():
            self.opened = True
            self.request = self.received[len(GREETING) :]
            self.stream.send(REPLY + PEER)
        elif self.opened:
            payload = self.received[len(GREETING + self.request) :]
            if not (PAYLOAD * (len(payload) // 4 + 1)).startswith(payload):
                return self._complain()
            self.stream.send(payload[self.echoed :])
            self.echoed = len(payload)
        elif not self._is_beginning():
            return self._complain()
        return True

    def _is_bind(self) -> bool:
        return self.received.startswith(GREETING + BIND) and len(self.received) == len(GREETING + REQUEST)

    def _is_beginning(self) -> bool:
        bind = self.received[: len(GREETING + BIND)]
        return (GREETING + REQUEST).startswith(self.received) or (
            (GREETING + BIND).startswith(bind) and len(self.received) < len(GREETING + REQUEST)
        )

    def _complain(self) -> bool:
        tell(f"out of place: {self.received!r}")
        return False


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    tell(f"listening on 127.0.0.1:{listener.getsockname()[1]}")
    poller = select.epoll()
    poller.register(listener, select.EPOLLIN)
    poller.register(sys.stdin, select.EPOLLIN)
    clients: dict[int, Client] = {}
    while True:
        for fd, _ in poller.poll():
            if fd == sys.stdin.fileno():
                return
            if fd == listener.fileno():
                client = Client(listener.accept()[0])
                clients[client.stream.fileno()] = client
                poller.register(client.stream, select.EPOLLIN)
            elif not clients[fd].go_on():
                clients.pop(fd).stream.close()


if __name__ == "__main__":
    main()
