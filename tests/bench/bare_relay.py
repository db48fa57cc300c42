"""The least that a server in Python does for a connection: what `sockd` costs beside it is for what `sockd` does more.

    python -m tests.bench.bare_relay PORT

One epoll loop, and nothing else: SOCKS5 and CONNECT to IPv4 addresses, each message in one segment. It has no rules, no
limits, no names, no log; it takes every write to be whole and every connect to succeed. It keeps half-closes, as ours
does; without them it would do less than a relay has to.
"""

from __future__ import annotations

import select
import socket
import sys

GREETED, ASKED, RELAYING = range(3)
BACKLOG = 1024
PIECE = 65536


class Pair:
    """A client and, once it has asked for one, its target."""

    __slots__ = ("client", "ended", "stage", "target")

    def __init__(self, client: socket.socket) -> None:
        self.client = self.target = client
        self.stage = GREETED
        self.ended = False


class Relay:
    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._poller = select.epoll()
        self._poller.register(listener, select.EPOLLIN)
        self._pairs: dict[int, Pair] = {}
        self._buffer = memoryview(bytearray(PIECE))

    def run(self) -> None:
        listener = self._listener.fileno()
        while True:
            for fd, _ in self._poller.poll():
                if fd == listener:
                    self._accept()
                elif (pair := self._pairs.get(fd)) is not None:
                    self._advance(pair, fd)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        client.setblocking(False)
        self._pairs[client.fileno()] = Pair(client)
        self._poller.register(client, select.EPOLLIN)

    def _advance(self, pair: Pair, fd: int) -> None:
        if pair.stage == RELAYING:
            self._move(pair, fd)
        elif fd != pair.client.fileno():
            self._connected(pair)
        elif not (said := pair.client.recv(PIECE)):
            self._close(pair)
        elif pair.stage == GREETED:
            pair.stage = ASKED
            pair.client.send(b"\x05\x00")
        else:
            self._connect(pair, said)

    def _connect(self, pair: Pair, request: bytes) -> None:
        pair.target = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        pair.target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pairs[pair.target.fileno()] = pair
        pair.target.connect_ex((socket.inet_ntoa(request[4:8]), int.from_bytes(request[8:10])))
        self._poller.register(pair.target, select.EPOLLOUT)

    def _connected(self, pair: Pair) -> None:
        host, port = pair.target.getsockname()
        pair.client.send(b"\x05\x00\x00\x01" + socket.inet_aton(host) + port.to_bytes(2))
        pair.stage = RELAYING
        self._poller.modify(pair.target, select.EPOLLIN)

    def _move(self, pair: Pair, fd: int) -> None:
        source, sink = (pair.client, pair.target) if fd == pair.client.fileno() else (pair.target, pair.client)
        count = source.recv_into(self._buffer)
        if count:
            sink.send(self._buffer[:count])
        elif pair.ended:
            self._close(pair)
        else:
            pair.ended = True
            self._poller.modify(source, 0)
            sink.shutdown(socket.SHUT_WR)

    def _close(self, pair: Pair) -> None:
        for stream in {pair.client, pair.target}:
            del self._pairs[stream.fileno()]
            stream.close()


def main() -> None:
    with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=BACKLOG) as listener:
        listener.setblocking(False)
        Relay(listener).run()


if __name__ == "__main__":
    main()
