"""Outgoing connections that are made without blocking: directly, or through other proxies."""

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
from socksify.server.core.calls import Timer
from socksify.server.core.loop import FAILED, WRITABLE, Loop
from socksify.server.net.resolver import Candidate, Resolver
from socksify.tunnel.handshake import Handshake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.config.proxy_url import Proxy

# tcp(7): tcpi_state is TCP_INFO's first byte.
_STATE = socket.IPPROTO_TCP, socket.TCP_INFO, 1
_ESTABLISHED = b"\x01"
# Failures of this machine rather than of the target.
_NO_ROUTE = (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)

# Called with the connected socket and 0, or with None and an errno.
Dialled = Callable[["_originals.Socket | None", int], None]
# Called with a socket, and the address that it is about to connect to.
Prepare = Callable[[_originals.Socket, Candidate], None]
# Called with the connected socket, the address that the last proxy has bound for it, and the error.
Reached = Callable[["_originals.Socket | None", Address, "Exception | None"], None]


class Dial:
    """Tries a target's addresses in turn, and calls `dialled` once.

    `candidates` are the addresses. `dialled` gets the connected socket, or the errno of the last address that failed.
    An errno which only says that this machine has no route, or no address of the family, is reported if there is no
    other. `prepare` may bind each socket, and may raise OSError. Each address may take `seconds`; with 0, the kernel
    gives up after two minutes.
    """

    def __init__(
        self, loop: Loop, candidates: Iterable[Candidate], dialled: Dialled, prepare: Prepare, seconds: float = 30.0
    ) -> None:
        self._loop = loop
        self._prepare = prepare
        self._seconds = seconds
        self._candidates = iter(candidates)
        self._dialled = dialled
        self._stream: _originals.Socket | None = None
        self._timer: Timer | None = None
        self._failure = 0

    def start(self) -> None:
        self._try_next()

    def close(self) -> None:
        """Give up. `dialled` is not called."""
        self._stop_waiting()
        if self._stream is not None:
            self._loop.discard(self._stream)
            self._stream = None

    def _try_next(self) -> None:
        for candidate in self._candidates:
            outcome = self._connect(candidate)
            if not outcome:
                self._finish()
                return
            if outcome == errno.EINPROGRESS:
                self._wait()
                return
            self._give_up(outcome)
        self._dialled(None, self._failure or errno.EHOSTUNREACH)

    def _give_up(self, failure: int) -> None:
        """Close the socket of the address that was tried, and note why it failed."""
        self.close()
        if not self._failure or failure not in _NO_ROUTE:
            self._failure = failure

    def _connect(self, candidate: Candidate) -> int:
        """Begin to connect. Return 0 if the socket is connected, EINPROGRESS if an event will follow, or an errno."""
        try:
            self._stream = stream = self._loop.stream(candidate[0])
            self._prepare(stream, candidate)
            outcome = stream.connect_ex(candidate[1])
            # To an address of this machine the TCP handshake is over by now, though connect(2) does not say so. Asking
            # for the state saves a turn of the loop.
            if outcome == errno.EINPROGRESS and _originals.getsockopt(stream, *_STATE) == _ESTABLISHED:
                return 0
        except OSError as error:
            return error.errno or errno.EIO
        return outcome

    def _wait(self) -> None:
        assert self._stream is not None
        self._loop.watch(self._stream.fileno(), WRITABLE, self._connect_ended)
        if self._seconds:
            self._timer = self._loop.after(self._seconds, self._timed_out)

    def _connect_ended(self, _fd: int, events: int) -> None:
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
        self._dialled(stream, 0)

    def _stop_waiting(self) -> None:
        # The timer refers to this object: a reference cycle would be left to the garbage collector at each connection.
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _timed_out(self) -> None:
        self._give_up(errno.ETIMEDOUT)
        self._try_next()


def takes_names(chain: tuple[Proxy, ...]) -> bool:
    """Return True if there is a chain and its last proxy resolves names."""
    return bool(chain) and chain[-1].remote_names


class Upstream:
    """Connects to a target through a chain of proxies, and calls `reached` once.

    `Handshake`, which socksify's clients use too, speaks the protocol on a socket of the loop. The whole attempt may
    take `seconds`; 0 is no limit. `client_host` is the address of the client that has asked for the connection: clients
    share the threads of the resolver fairly.
    """

    def __init__(
        self,
        loop: Loop,
        resolver: Resolver,
        chain: tuple[Proxy, ...],
        target: Address,
        seconds: float,
        client_host: str,
        reached: Reached,
    ) -> None:
        self._loop = loop
        self._resolver = resolver
        self._route = Via(chain, target, (target.host, target.port), DEFAULT)
        self._seconds = seconds
        self._client_host = client_host
        self._reached = reached
        self._dial: Dial | None = None
        self._stream: _originals.Socket | None = None
        self._handshake: Handshake | None = None
        self._timer: Timer | None = None
        self._closed = False

    def start(self) -> None:
        if self._seconds:
            self._timer = self._loop.after(self._seconds, self._timed_out)
        first = self._route.chain[0]
        try:
            self._handshake = Handshake(self._route, monotonic(), self._seconds)
            address = Address.of(first.host, first.port)
        except (ProtocolError, ValueError, OSError) as error:
            self._fail(error)
            return
        if first.path is not None:
            self._dial_first([(socket.AF_UNIX, first.path)])
        else:
            self._resolver.resolve(address, self._dial_first, self._seconds, self._client_host)

    def close(self) -> None:
        """Give up. `reached` is not called."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._dial is not None:
            self._dial.close()
        if self._stream is not None:
            self._loop.discard(self._stream)
            self._stream = None

    def _dial_first(self, candidates: list[Candidate]) -> None:
        """Connect to the first proxy. Its addresses share the time, so that a silent one leaves time for the rest."""
        if not self._closed:
            share = self._seconds / max(1, len(candidates))
            self._dial = Dial(self._loop, candidates, self._dialled, lambda *_: None, share)
            self._dial.start()

    def _dialled(self, stream: _originals.Socket | None, failure: int) -> None:
        if stream is None:
            self._fail(OSError(failure, os.strerror(failure)))
            return
        self._stream = stream
        self._advance(stream.fileno(), 0)

    def _advance(self, fd: int, _events: int) -> None:
        assert self._stream is not None and self._handshake is not None
        try:
            wanted = self._handshake.advance(self._stream)  # type: ignore[arg-type]  # poll(2)'s events are epoll's
        except (OSError, ProtocolError) as error:
            self._fail(error)
            return
        self._loop.watch(fd, wanted, self._advance)
        if not wanted:
            self._open(self._handshake)

    def _open(self, handshake: Handshake) -> None:
        bound = handshake.bound()
        stream, self._stream = self._stream, None
        self.close()
        self._reached(stream, Address.of(*bound) if bound else UNSPECIFIED, None)

    def _timed_out(self) -> None:
        self._fail(TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))

    def _fail(self, error: Exception) -> None:
        self.close()
        self._reached(None, UNSPECIFIED, error)
