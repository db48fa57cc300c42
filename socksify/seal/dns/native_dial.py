"""A connection without a proxy, opened on the supervisor's loop."""

from __future__ import annotations

from socket import AF_INET, AF_INET6, SO_ERROR, SOL_SOCKET

from socksify.server.core.loop import WRITABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from socksify import _originals
    from socksify.routing.sockaddr import SockAddress
    from socksify.server.core.loop import Loop

_SECONDS = 10.0


class NativeDial:
    """Connects to an address, whose host is a literal. `done` is called once: with a socket of the loop, or None."""

    def __init__(self, loop: Loop, address: SockAddress, done: Callable[[_originals.Socket | None], object]) -> None:
        self._loop = loop
        self._done = done
        self._socket = loop.stream(AF_INET6 if ":" in address[0] else AF_INET)
        self._timer = loop.after(_SECONDS, self._fail)
        try:
            self._socket.connect(address)
        except BlockingIOError:
            pass
        except OSError:
            self._fail()
            return
        loop.watch(self._socket.fileno(), WRITABLE, self._writable)

    def _writable(self, fd: int, _events: int) -> None:
        if self._socket.getsockopt(SOL_SOCKET, SO_ERROR):
            self._fail()
            return
        self._timer.cancel()
        self._loop.watch(fd, 0, self._writable)
        self._done(self._socket)

    def _fail(self) -> None:
        self._timer.cancel()
        self._loop.discard(self._socket)
        self._done(None)
