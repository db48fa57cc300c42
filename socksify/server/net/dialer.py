"""The outgoing connection: the target's addresses tried in turn, without blocking."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterable

from socksify import _originals
from socksify._originals import monotonic
from socksify.config.rules import DEFAULT
from socksify.protocol.address import UNSPECIFIED, Address
from socksify.protocol.errors import ProtocolError
from socksify.routing.route import Via
from socksify.server.core.loop import FAILED, WRITABLE, Loop
from socksify.server.core.timers import Timer
from socksify.server.net.resolver import Candidate
from socksify.tunnel.handshake import Handshake

TYPE_CHECKING = False

# tcp(7): tcpi_state is TCP_INFO's first byte.
_STATE = socket.IPPROTO_TCP, socket.TCP_INFO, 1
_ESTABLISHED = b"\x01"
_NO_WAY = (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)

Done = Callable[["_originals.Socket | None", int], None]
Prepare = Callable[[_originals.Socket, Candidate], None]


class Dial:
    """Calls `done` once: with the connected socket and 0, or with None and the errno of the last address that failed.

    That there is no way from here to an address, of a family we have none of, says less than another one's answer.
    `prepare` gets each socket before it connects, and may raise OSError; one address may take `seconds`, 0 for as long
    as the kernel goes on, which is two minutes.
    """

    def __init__(
        self, loop: Loop, candidates: Iterable[Candidate], done: Done, prepare: Prepare, seconds: float = 30.0
    ) -> None:
        self._loop = loop
        self._prepare = prepare
        self._seconds = seconds
        self._candidates = iter(candidates)
        self._done = done
        self._stream: _originals.Socket | None = None
        self._timer: Timer | None = None
        self._failure = 0

    def start(self) -> None:
        self._try_next()

    def close(self) -> None:
        """Gives up, without a call of `done`."""
        self._stop_waiting()
        if self._stream is not None:
            self._loop.discard(self._stream)
            self._stream = None

    def _try_next(self) -> None:
        for candidate in self._candidates:
            outcome = self._start(candidate)
            if not outcome:
                self._finish()
                return
            if outcome == errno.EINPROGRESS:
                self._wait()
                return
            self._give_up(outcome)
        self._done(None, self._failure or errno.EHOSTUNREACH)

    def _give_up(self, failure: int) -> None:
        """The address at hand."""
        self.close()
        if not self._failure or failure not in _NO_WAY:
            self._failure = failure

    def _start(self, candidate: Candidate) -> int:
        """Begins to connect: 0 if that is done, EINPROGRESS if the outcome will come as an event."""
        try:
            self._stream = stream = self._loop.stream(candidate[0])
            self._prepare(stream, candidate)
            outcome = stream.connect_ex(candidate[1])
            # On this machine the handshake is over by now, though connect(2) does not say so: that spares a turn.
            if outcome == errno.EINPROGRESS and _originals.getsockopt(stream, *_STATE) == _ESTABLISHED:
                return 0
        except OSError as error:
            return error.errno or errno.EIO
        return outcome

    def _wait(self) -> None:
        assert self._stream is not None
        self._loop.watch(self._stream.fileno(), WRITABLE, self._settled)
        if self._seconds:
            self._timer = self._loop.after(self._seconds, self._too_late)

    def _settled(self, _fd: int, events: int) -> None:
        assert self._stream is not None
        if events & FAILED:
            failure = _originals.getsockopt(self._stream, socket.SOL_SOCKET, socket.SO_ERROR)
            if failure:
                self._give_up(failure)
                self._try_next()
                return
        self._stop_waiting()
        self._finish()

    def _finish(self) -> None:
        stream, self._stream = self._stream, None
        self._done(stream, 0)

    def _stop_waiting(self) -> None:
        # Which knows us, too: a circle would be left for the garbage collector, at each connection.
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_late(self) -> None:
        self._give_up(errno.ETIMEDOUT)
        self._try_next()


# The way to a target through other proxies: the client's own scripts, on a socket of the server's.


if TYPE_CHECKING:
    from socksify.config.proxy_url import Proxy
    from socksify.server.core.timers import Timer
    from socksify.server.net.resolver import Candidate
    from socksify.server.session.server import Server

    Reached = Callable[["_originals.Socket | None", Address, Exception | None], None]


def takes_names(chain: tuple[Proxy, ...]) -> bool:
    """Whether there is a chain, and its last proxy is to resolve the name."""
    return bool(chain) and chain[-1].remote_names


class Upstream:
    """Calls `done` once: with a connected socket and what the last proxy said it is bound to, or with the error.

    All of it may take `seconds`, 0 for no limit. `client_key` is the host of the client that it is for.
    """

    def __init__(
        self, server: Server, chain: tuple[Proxy, ...], target: Address, seconds: float, client_key: str, done: Reached
    ) -> None:
        self._server = server
        self._route = Via(chain, target, (target.host, target.port), DEFAULT)
        self._seconds = seconds
        self._client_key = client_key
        self._done = done
        self._dial: Dial | None = None
        self._stream: _originals.Socket | None = None
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
        self._server.resolver.resolve(address, self._reach, self._seconds, self._client_key)

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

    def _reached(self, stream: _originals.Socket | None, failure: int) -> None:
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
