"""The outgoing connection: the target's addresses tried in turn, without blocking."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterable

from socksify import _real
from socksify.server.loop import FAILED, WRITABLE, Loop
from socksify.server.resolver import Candidate
from socksify.server.timers import Timer

# tcp(7): tcpi_state is TCP_INFO's first byte.
_STATE = socket.IPPROTO_TCP, socket.TCP_INFO, 1
_ESTABLISHED = b"\x01"
_NO_WAY = (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)

Done = Callable[["_real.Socket | None", int], None]
Prepare = Callable[[_real.Socket, Candidate], None]


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
        self._stream: _real.Socket | None = None
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
            if outcome == errno.EINPROGRESS and _real.getsockopt(stream, *_STATE) == _ESTABLISHED:
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
            failure = _real.getsockopt(self._stream, socket.SOL_SOCKET, socket.SO_ERROR)
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
