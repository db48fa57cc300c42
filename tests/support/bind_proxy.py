"""A scripted proxy with BIND: the second answer is sent when the test says that the peer has connected.

with bind_proxy("socks5") as proxy:
    control = proxy.control()
    listener = socket.create_server(("", 0))
    proxy.come(b"glued to the second answer")
    stream, peer = listener.accept()
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.bad_proxy import BadProxy, Session
from tests.support.routing import routed
from tests.support.stepping import ECHO
from tests.support.steps import CLOSE, READ_GREETING, READ_REQUEST, READ_SOCKS4, Step

# The server that connects back, and another host that may connect.
SERVER, STRANGER = ("203.0.113.5", 21), ("203.0.113.99", 666)
NAME = ("server.example", 21)
# The proxy's external address, from which it connects and on which it listens.
OUTSIDE, FIRST_PORT = "198.51.100.9", 40001
OUTSIDE6 = "2001:db8::9"
PEER = (SERVER[0], 20)
CONNECT = 1
SECONDS = 10.0
ANYWHERE = ("*=proxy",)


def reply(scheme: str, code: int, address: tuple[str, int]) -> bytes:
    host, port = address
    if scheme.startswith("socks4"):
        return bytes((0, 90 if code == 0 else 91)) + port.to_bytes(2, "big") + socket.inet_aton(host)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    packed = socket.inet_pton(family, host)
    return bytes((5, code, 0, 4 if ":" in host else 1)) + packed + port.to_bytes(2, "big")


class BindProxy:
    """The running proxy. `binds` counts the BIND requests, `sessions` are all connections to the proxy."""

    def __init__(self, scheme: str, outside: str = OUTSIDE, path: Path | None = None) -> None:
        self.scheme = scheme
        self.binds = 0
        self.outside = outside
        # If set, this step replaces the good first answer to a BIND.
        self.first: Step | None = None
        # Seconds between the bytes of the second answer; 0 sends it in one piece.
        self.pause = 0.0
        self._changed = threading.Condition()
        self._second: list[bytes | Step] = []
        v5 = scheme.startswith("socks5")
        negotiation: list[Step] = [READ_GREETING, _send(b"\x05\x00")] if v5 else []
        self.proxy = BadProxy([*negotiation, READ_REQUEST if v5 else READ_SOCKS4, self._answer], path=path)

    @property
    def url(self) -> str:
        return self.proxy.url(self.scheme)

    @property
    def listening(self) -> tuple[str, int]:
        """The address in the latest first answer."""
        return self.outside, FIRST_PORT + self.binds - 1

    def control(self, address: tuple[str, int] = SERVER) -> socket.socket:
        return socket.create_connection(address, timeout=SECONDS)

    def come(self, glued: bytes = b"", peer: tuple[str, int] = PEER, code: int = 0) -> None:
        """Send the second answer to the oldest BIND. With another code, the connection came from another host."""
        self.then(reply(self.scheme, code, peer) + glued)

    def then(self, step: bytes | Step) -> None:
        """Send bytes, or do a step, for the oldest BIND that is waiting."""
        with self._changed:
            self._second.append(step)
            self._changed.notify_all()

    def asked(self, count: int) -> None:
        """Wait for the BIND number `count`."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.binds >= count, SECONDS), f"{self.binds} questions"

    def _answer(self, session: Session) -> None:
        # CD is the second byte of a SOCKS4 request, CMD of a SOCKS5 request, which follows a greeting of three bytes.
        if session.received[1 if self.scheme.startswith("socks4") else 4] == CONNECT:
            session.stream.sendall(reply(self.scheme, 0, (self.outside, 5555)))
            ECHO(session)
            return
        with self._changed:
            self.binds += 1
            self._changed.notify_all()
        if self.first is not None:
            self.first(session)
            return
        session.stream.sendall(reply(self.scheme, 0, self.listening))
        self._wait(session)

    def _wait(self, session: Session) -> None:
        with self._changed:
            while not self._second and not session.ended.is_set():
                if _is_closed(session.stream):
                    return
                self._changed.wait(0.01)
            if session.ended.is_set():
                return
            second = self._second.pop(0)
        if not isinstance(second, bytes):
            second(session)
            return
        for piece in [second] if not self.pause else [second[at : at + 1] for at in range(len(second))]:
            session.stream.sendall(piece)
            session.ended.wait(self.pause)
        ECHO(session)


def _send(data: bytes) -> Step:
    def send(session: Session) -> None:
        session.stream.sendall(data)

    return send


def refuse(data: bytes) -> Step:
    """Send `data`, then close the connection."""

    def step(session: Session) -> None:
        session.stream.sendall(data)
        CLOSE(session)

    return step


def _is_closed(stream: socket.socket) -> bool:
    try:
        return stream.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False


@contextlib.contextmanager
def bind_proxy(
    scheme: str = "socks5", outside: str = OUTSIDE, path: Path | None = None, **settings: Any
) -> Iterator[BindProxy]:
    """Run the proxy, and route everything that is not on this machine through it."""
    proxy = BindProxy(scheme, outside, path)
    with proxy.proxy, routed(proxy.url, routes=(), **settings):
        yield proxy
