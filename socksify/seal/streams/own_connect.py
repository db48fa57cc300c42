"""connect(2) of a blocking socket: the supervisor connects the target's own socket while the call waits.

The socket is the kernel's own afterwards, without a relay. It is non-blocking for as long as the call takes.
"""

from __future__ import annotations

import os
from errno import EALREADY, EHOSTUNREACH, EINPROGRESS
from socket import SO_ERROR, SOL_SOCKET

from socksify.seal.kernel.libc import connect_raw
from socksify.seal.streams.dial import disconnect, settle
from socksify.server.core.loop import WRITABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from socksify import _originals
    from socksify.seal.streams.connections import Connections, WaitingCalls
    from socksify.server.core.loop import Loop


class OwnConnect:
    """A pending connect(2) on the target's own socket, which belongs to this object until the end."""

    def __init__(
        self, loop: Loop, connections: Connections, waiting: WaitingCalls, sock: _originals.Socket, inode: int
    ) -> None:
        self._loop, self._connections, self._waiting = loop, connections, waiting
        self._sock, self._inode = sock, inode
        loop.keep(sock)
        os.set_blocking(sock.fileno(), False)

    def wait(self, id: int) -> None:
        """Let the first connect(2) wait for the outcome."""
        self._waiting.join(id, EINPROGRESS)

    def join(self, id: int, _sock: _originals.Socket) -> None:
        """Let another connect(2) wait, such as one that a signal has ended and restarted."""
        self._waiting.join(id, EALREADY)

    def cancel(self) -> None:
        """Do nothing: the handshake sees that its socket is disconnected, and fails."""

    def tell_outcome(self, id: int, thread: int, value: int, length: int) -> None:
        """Let a getsockopt(2) of SO_ERROR wait for the outcome."""
        self._waiting.ask(id, thread, value, length)

    def end(self, error: OSError | None) -> None:
        """Take the outcome: None if the socket is connected."""
        number = 0 if error is None else error.errno or EHOSTUNREACH
        if number:
            disconnect(self._sock)
        elif self._waiting.is_waited_for:
            settle(self._sock)
        os.set_blocking(self._sock.fileno(), True)
        self._loop.discard(self._sock)
        if not number:
            self._connections.succeed(self._inode)
            self._waiting.end(0)
            return
        self._connections.fail(self._inode, 0)
        if not self._waiting.end(number):
            self._connections.fail(self._inode, number)


def connect_directly(
    loop: Loop, sock: _originals.Socket, address: bytes, done: Callable[[OSError | None], object]
) -> None:
    """Connect a non-blocking socket without a proxy. `done` is called at the end, with None if it is connected."""
    error = connect_raw(sock.fileno(), address)
    if error != EINPROGRESS:
        done(OSError(error, os.strerror(error)) if error else None)
        return

    def handle(fd: int, _events: int) -> None:
        loop.watch(fd, 0, handle)
        failure = sock.getsockopt(SOL_SOCKET, SO_ERROR)
        done(OSError(failure, os.strerror(failure)) if failure else None)

    loop.watch(sock.fileno(), WRITABLE, handle)
