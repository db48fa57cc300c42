"""Answers getsockopt(2) of SO_ERROR, and getpeername(2), for sockets whose kernel state is not the whole truth."""

from __future__ import annotations

import os
import struct
from errno import EINVAL, ENOTCONN

from socksify.seal.kernel.target import inode
from socksify.seal.streams.dial import clear_error
from socksify.seal.streams.waiting_calls import tell_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.seal.kernel.listener import Listener
    from socksify.seal.kernel.target import Target
    from socksify.seal.streams.connections import Connections

_INT = struct.Struct("@i")


class SocketQueries:
    """Answers both calls for one tree."""

    def __init__(self, listener: Listener, target: Target, connections: Connections) -> None:
        self._listener, self._target, self._connections = listener, target, connections

    def so_error(
        self, id: int, thread: int, fd: int, _level: int, _option: int, value: int, length: int, *_: int
    ) -> None:
        """Answer getsockopt(2) of SO_ERROR. Raises OSError if the call fails."""
        if not self._connections.may_report_errors:
            self._listener.proceed(id)
            return
        number = inode(thread, fd)
        attempt = self._connections.attempt(number)
        if attempt is not None:
            attempt.tell_outcome(id, thread, value, length)
            return
        failure = self._connections.take_failure(number)
        if not failure:
            self._listener.proceed(id)
            return
        # The socket has an error of its own since it was shut down. Ours takes its place.
        sock = self._target.take_socket(thread, fd)
        clear_error(sock)
        sock.close()
        if not tell_error(self._listener, self._target, id, thread, value, length, failure):
            self._connections.fail(number, failure)

    def getpeername(self, id: int, thread: int, fd: int, address: int, length: int, *_: int) -> None:
        """Answer getpeername(2). Raises OSError if the call fails."""
        if not self._connections.has_peers:
            self._listener.proceed(id)
            return
        number = inode(thread, fd)
        peer = self._connections.peer(number)
        if peer is None:
            self._listener.proceed(id)
            return
        if self._connections.attempt(number) is not None:
            raise OSError(ENOTCONN, os.strerror(ENOTCONN))
        # The kernel knows whether the socket is still connected, and raises if not.
        sock = self._target.take_socket(thread, fd)
        try:
            sock.getpeername()
        finally:
            sock.close()
        (room,) = _INT.unpack(self._target.read(thread, length, _INT.size))
        if room < 0:
            raise OSError(EINVAL, os.strerror(EINVAL))
        if self._listener.is_valid(id):
            self._target.write(thread, address, peer[:room])
            self._target.write(thread, length, _INT.pack(len(peer)))
            self._listener.answer(id)
