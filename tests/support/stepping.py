"""A SOCKS5 proxy that stops before each of its answers until the test lets it go on.

While the proxy waits at a stop, the handshake cannot be complete, so a test can check the state in the middle.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from errno import EINPROGRESS
from typing import Any

from tests.support.bad_proxy import BadProxy, Session
from tests.support.routing import routed
from tests.support.steps import CLOSE, READ_GREETING, READ_REQUEST, Send, Step, socks5_reply

# No host has this address: the proxy plays the target too.
TARGET = ("203.0.113.5", 80)
ANYWHERE = ("*=proxy",)
# The greeting and the request that a SOCKS5 proxy receives for a connection to TARGET.
SAID = b"\x05\x01\0" + b"\x05\x01\0\x01" + socket.inet_aton(TARGET[0]) + TARGET[1].to_bytes(2)
SECONDS = 10.0
# Seconds for which a poller must report nothing.
MOMENT = 0.005


def ECHO(session: Session) -> None:
    """Act as the echo server at the other end of the tunnel."""
    while data := session.stream.recv(65536):
        session.stream.sendall(data)


class Stepping:
    """The running proxy. `stops` counts the stops that it has reached."""

    # Before the choice of the method, before the reply, in the middle of the reply.
    STOPS = 3

    def __init__(self, reply: int = 0, end: Step = ECHO, banner: bytes = b"") -> None:
        self.stops = 0
        self._changed = threading.Condition()
        self._allowed = 0
        answer = socks5_reply(reply)
        # The second byte of a reply tells a refusal.
        middle = 7 if reply == 0 else 1
        script: list[Step] = [
            READ_GREETING,
            self._halt,
            Send(b"\x05\0"),
            READ_REQUEST,
            self._halt,
            Send(answer[:middle]),
        ]
        self.proxy = BadProxy([*script, self._halt, Send(answer[middle:] + banner), end if reply == 0 else CLOSE])

    @property
    def url(self) -> str:
        return self.proxy.url()

    @property
    def received(self) -> bytes:
        """The bytes from the first client, up to the end of the request."""
        return bytes(self.proxy.sessions[0].received)

    def go(self) -> None:
        """Let the proxy send its next answer."""
        with self._changed:
            self._allowed += 1
            self._changed.notify_all()

    def run(self) -> None:
        """Let the proxy continue to the end, for this client and all later ones."""
        with self._changed:
            self._allowed = sys.maxsize
            self._changed.notify_all()

    def play(self, poll: Callable[[], object]) -> None:
        """Take the proxy past its last stop. `poll` drives the client, and must report nothing until then."""
        for stop in range(1, self.STOPS + 1):
            self.reach(stop, poll)
            assert not poll(), f"reported at stop {stop}"
            self.go()

    def reach(self, stop: int, poll: Callable[[], object]) -> None:
        """Drive the client until the proxy waits at a stop. `poll` must report nothing on the way."""
        for _ in range(int(SECONDS / MOMENT)):
            assert not poll(), f"reported before stop {stop}"
            if self.stops >= stop:
                break
        assert self.stops == stop

    def _halt(self, session: Session) -> None:
        with self._changed:
            self.stops += 1
            self._changed.notify_all()
            stop = self.stops
            while self._allowed < stop and not session.ended.is_set():
                self._changed.wait(0.05)


def begin(sock: socket.socket) -> None:
    """Begin a non-blocking connect."""
    sock.setblocking(False)
    assert sock.connect_ex(TARGET) == EINPROGRESS


@contextlib.contextmanager
def stepping(reply: int = 0, end: Step = ECHO, banner: bytes = b"", **settings: Any) -> Iterator[Stepping]:
    """Run the proxy and route everything through it. `banner` follows the reply code `reply` in the same segment."""
    steps = Stepping(reply, end, banner)
    with steps.proxy, routed(steps.url, routes=ANYWHERE, **settings):
        try:
            yield steps
        finally:
            steps.run()
