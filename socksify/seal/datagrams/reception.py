"""Receiving in the place of a program, so that the sender can be reported under another address."""

from __future__ import annotations

import os
import struct
from errno import EAGAIN, EFAULT
from socket import MSG_DONTWAIT, MSG_TRUNC, SO_RCVTIMEO, SOL_SOCKET

from socksify.server.core.loop import READABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from socksify import _originals
    from socksify.routing.sockaddr import SockAddress
    from socksify.seal.datagrams.messages import Recvfrom, Recvmsg
    from socksify.seal.kernel.listener import Listener
    from socksify.seal.kernel.target import Target
    from socksify.server.core.loop import Loop

_LONGEST = 65535
# In seconds: how often is looked whether the program still waits. A signal may have ended its call.
_LOOK = 1.0
_TIMEVAL = struct.Struct("@ll")


class Reception:
    """One call of recvfrom(2) or recvmsg(2).

    `sender` returns what the program is to see of an address, as it lies in memory. The socket is closed at the end.
    """

    def __init__(
        self,
        loop: Loop,
        listener: Listener,
        target: Target,
        call: Recvfrom | Recvmsg,
        sock: _originals.Socket,
        sender: Callable[[SockAddress], bytes],
    ) -> None:
        self._loop, self._listener, self._target = loop, listener, target
        self._call, self._socket, self._sender = call, sock, sender
        self._waits = os.get_blocking(sock.fileno()) and not call.flags & MSG_DONTWAIT
        seconds, microseconds = _TIMEVAL.unpack(sock.getsockopt(SOL_SOCKET, SO_RCVTIMEO, _TIMEVAL.size))
        limit = seconds + microseconds / 1_000_000
        # socket(7), SO_RCVTIMEO: 0 is no limit.
        self._limit = loop.after(limit, lambda: self._answer(error=EAGAIN)) if limit and self._waits else None
        self._timer = loop.after(_LOOK, self._look)
        loop.keep(sock)

    def start(self) -> None:
        """Receive now, or wait for a datagram if the call does."""
        if not self._is_over() and self._waits:
            self._loop.watch(self._socket.fileno(), READABLE, lambda *_: self._is_over())

    def _is_over(self) -> bool:
        """Receive if there is something, and answer the call. Return False if it has to wait."""
        if not self._listener.is_valid(self._call.id):
            self._close()
            return True
        try:
            data, address = self._socket.recvfrom(_LONGEST, self._call.flags & ~MSG_TRUNC | MSG_DONTWAIT)
        except OSError as error:
            if error.errno == EAGAIN and self._waits:
                return False
            self._answer(error=error.errno or EAGAIN)
            return True
        try:
            self._answer(self._call.store(self._target, data, self._sender(address)))
        except OSError:
            self._answer(error=EFAULT)
        return True

    def _look(self) -> None:
        if self._listener.is_valid(self._call.id):
            self._timer = self._loop.after(_LOOK, self._look)
        else:
            self._close()

    def _answer(self, value: int = 0, error: int = 0) -> None:
        self._close()
        self._listener.answer(self._call.id, value, error)

    def _close(self) -> None:
        self._timer.cancel()
        if self._limit is not None:
            self._limit.cancel()
        self._loop.discard(self._socket)
