"""A SOCKS5 proxy that stops before each of its answers until the test lets it go on.

What is asserted while it stands still is asserted about a handshake that cannot possibly be over.
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

# Where nobody is: the proxy plays the target's part too.
TARGET = ("203.0.113.5", 80)
ANYWHERE = ("*=proxy",)
# What a SOCKS5 proxy receives for a connection to TARGET: the greeting and the request.
SAID = b"\x05\x01\0" + b"\x05\x01\0\x01" + socket.inet_aton(TARGET[0]) + TARGET[1].to_bytes(2)
SECONDS = 10.0
# For how long a poller is given the chance to report too early.
MOMENT = 0.005


def ECHO(session: Session) -> None:
    """Is the echo server at the tunnel's other end."""
    while data := session.stream.recv(65536):
        session.stream.sendall(data)


class Stepping:
    """The running proxy: `stops` counts how often it has come to a halt."""

    # Before the choice of method, before the reply, in the middle of it.
    STOPS = 3

    def __init__(self, reply: int = 0, end: Step = ECHO, banner: bytes = b"") -> None:
        self.stops = 0
        self._changed = threading.Condition()
        self._allowed = 0
        answer = socks5_reply(reply)
        # A refusal is known by its second byte.
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
        """What came from the first client, up to the request's end."""
        return bytes(self.proxy.sessions[0].received)

    def go(self) -> None:
        """Let it give its next answer."""
        with self._changed:
            self._allowed += 1
            self._changed.notify_all()

    def run(self) -> None:
        """Let it go through to the end, for this client and all after it."""
        with self._changed:
            self._allowed = sys.maxsize
            self._changed.notify_all()

    def play(self, poll: Callable[[], object]) -> None:
        """Take it to its last stop and beyond; `poll` drives the client, and must have nothing to report till then."""
        for stop in range(1, self.STOPS + 1):
            self.reach(stop, poll)
            assert not poll(), f"reported at stop {stop}"
            self.go()

    def reach(self, stop: int, poll: Callable[[], object]) -> None:
        """Drive the client until the proxy stands still at a stop; there must be nothing to report on the way."""
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
    """Begins a non-blocking connect."""
    sock.setblocking(False)
    assert sock.connect_ex(TARGET) == EINPROGRESS


@contextlib.contextmanager
def stepping(reply: int = 0, end: Step = ECHO, banner: bytes = b"", **settings: Any) -> Iterator[Stepping]:
    """The proxy, and everything routed through it; `reply` is the code of its answer, `banner` is glued to it."""
    steps = Stepping(reply, end, banner)
    with steps.proxy, routed(steps.url, routes=ANYWHERE, **settings):
        try:
            yield steps
        finally:
            steps.run()
