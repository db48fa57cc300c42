"""The way to a target through other proxies: the client's own scripts, on a socket of the server's."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable

from socksify import _real
from socksify._real import monotonic
from socksify.config.settings import DEFAULT
from socksify.protocol.address import UNSPECIFIED, Address
from socksify.protocol.errors import ProtocolError
from socksify.server.dial import Dial
from socksify.tunnel.handshake import Handshake
from socksify.tunnel.route import Via

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.config.settings import Proxy
    from socksify.server.resolver import Candidate
    from socksify.server.server import Server
    from socksify.server.timers import Timer

    Reached = Callable[["_real.Socket | None", Address, Exception | None], None]


def takes_names(chain: tuple[Proxy, ...]) -> bool:
    """Whether there is a chain, and its last proxy is to resolve the name."""
    return bool(chain) and chain[-1].remote_names


class Upstream:
    """Calls `done` once: with a connected socket and what the last proxy said it is bound to, or with the error.

    All of it may take `seconds`, 0 for no limit. `whose` is the host of the client that it is for.
    """

    def __init__(
        self, server: Server, chain: tuple[Proxy, ...], target: Address, seconds: float, whose: str, done: Reached
    ) -> None:
        self._server = server
        self._route = Via(chain, target, (target.host, target.port), DEFAULT)
        self._seconds = seconds
        self._whose = whose
        self._done = done
        self._dial: Dial | None = None
        self._stream: _real.Socket | None = None
        self._talk: Handshake | None = None
        self._timer: Timer | None = None
        self._closed = False

    def start(self) -> None:
        if self._seconds:
            self._timer = self._server.loop.after(self._seconds, self._too_late)
        first = self._route.chain[0]
        try:
            self._talk = Handshake(self._route, monotonic(), self._seconds)
            address = Address.of(first.host, first.port)
        except (ProtocolError, ValueError, OSError) as error:
            self._fail(error)
            return
        if first.path is not None:
            self._reach([(socket.AF_UNIX, first.path)])
            return
        self._server.resolver.resolve(address, self._reach, self._seconds, self._whose)

    def close(self) -> None:
        """Gives up, without a call of `done`."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._dial is not None:
            self._dial.close()
        if self._stream is not None:
            self._server.loop.discard(self._stream)
            self._stream = None

    def _reach(self, candidates: list[Candidate]) -> None:
        if not self._closed:
            # Of the chain's time, so that a silent address leaves some to the others.
            share = self._seconds / max(1, len(candidates))
            self._dial = Dial(self._server.loop, candidates, self._reached, lambda *_: None, share)
            self._dial.start()

    def _reached(self, stream: _real.Socket | None, failure: int) -> None:
        if stream is None:
            self._fail(OSError(failure, os.strerror(failure)))
            return
        self._stream = stream
        self._advance(stream.fileno(), 0)

    def _advance(self, fd: int, _events: int) -> None:
        assert self._stream is not None and self._talk is not None
        try:
            wanted = self._talk.advance(self._stream)  # type: ignore[arg-type]  # poll(2)'s events are epoll's
        except (OSError, ProtocolError) as error:
            self._fail(error)
            return
        self._server.loop.watch(fd, wanted, self._advance)
        if not wanted:
            self._open(self._talk)

    def _open(self, talk: Handshake) -> None:
        bound = talk.bound()
        stream, self._stream = self._stream, None
        self.close()
        self._done(stream, Address.of(*bound) if bound else UNSPECIFIED, None)

    def _too_late(self) -> None:
        self._fail(TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))

    def _fail(self, error: Exception) -> None:
        self.close()
        self._done(None, UNSPECIFIED, error)
