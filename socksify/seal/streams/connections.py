"""Facts about sealed sockets that the kernel does not know: pending connects, their errors, and the true peers.

getsockopt(2) of SO_ERROR and getpeername(2) are answered by these facts. Some calls wait for the outcome of a
connect(2).

A socket is known by its inode. The supervisor holds no descriptor of a socket that is open, and does not hear of its
end. So the tables are bounded, and the entry that was used least recently is dropped first. Sockets have their inode
numbers in a sequence of 32 bits, so an entry of a socket that is gone does no harm.
"""

from __future__ import annotations

import os
import struct
from collections import OrderedDict
from errno import EFAULT, EINVAL, ENOTCONN
from socket import SO_SNDTIMEO, SOL_SOCKET

from socksify.seal.kernel.target import inode
from socksify.seal.streams.dial import clear_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from socksify import _originals
    from socksify.seal.kernel.listener import Listener
    from socksify.seal.kernel.target import Target
    from socksify.server.core.calls import Timer
    from socksify.server.core.loop import Loop

    class Attempt(Protocol):
        """A connect(2) that is not over."""

        def join(self, id: int, sock: _originals.Socket) -> None:
            """Answer another connect(2) of the same socket: a signal may have ended the first one."""

        def cancel(self) -> None:
            """End the attempt, because the program disconnects the socket."""

        def tell_outcome(self, id: int, thread: int, value: int, length: int) -> None:
            """Answer getsockopt(SO_ERROR): now, or when the outcome is known."""


_INT = struct.Struct("@i")
_TIMEVAL = struct.Struct("@ll")
_MOST_PEERS = 1 << 15
_MOST_FAILURES = 1 << 12


class Connections:
    """What is known of the sockets of a tree."""

    def __init__(self) -> None:
        self._attempts: dict[int, Attempt] = {}
        # The errno of a connect(2) that has failed after it returned. SO_ERROR reports it once.
        self._failures: OrderedDict[int, int] = OrderedDict()
        # What getpeername(2) reports, as it lies in memory.
        self._peers: OrderedDict[int, bytes] = OrderedDict()

    def begin(self, inode: int, attempt: Attempt, peer: bytes | None) -> None:
        """Note that a connect(2) is pending. `peer` is the answer to getpeername(2), if it is not the kernel's own."""
        self._attempts[inode] = attempt
        self._failures.pop(inode, None)
        if peer is not None:
            self.set_peer(inode, peer)

    def succeed(self, inode: int) -> None:
        """Note that a connect(2) has succeeded."""
        self._attempts.pop(inode, None)

    def fail(self, inode: int, error: int) -> None:
        """Note that a connect(2) has failed; `error` is 0 if the program was told so."""
        self._attempts.pop(inode, None)
        self._peers.pop(inode, None)
        if error:
            self._failures[inode] = error
            if len(self._failures) > _MOST_FAILURES:
                self._failures.popitem(last=False)

    def forget(self, inode: int) -> None:
        """Forget a socket that is gone."""
        self._attempts.pop(inode, None)
        self._peers.pop(inode, None)
        self._failures.pop(inode, None)

    def attempt(self, inode: int) -> Attempt | None:
        """Return the pending connect(2) of a socket."""
        return self._attempts.get(inode)

    def take_failure(self, inode: int) -> int:
        """Return the errno that was not reported yet, and forget it. 0 if there is none."""
        return self._failures.pop(inode, 0)

    @property
    def may_report_errors(self) -> bool:
        """True if SO_ERROR of some socket has to be answered."""
        return bool(self._failures or self._attempts)

    @property
    def has_peers(self) -> bool:
        """True if getpeername(2) of some socket has to be answered."""
        return bool(self._peers)

    def set_peer(self, inode: int, peer: bytes) -> None:
        """Set what getpeername(2) reports."""
        self._peers[inode] = peer
        self._peers.move_to_end(inode)
        if len(self._peers) > _MOST_PEERS:
            self._peers.popitem(last=False)

    def peer(self, inode: int) -> bytes | None:
        """Return what getpeername(2) reports, or None for the kernel's own answer."""
        found = self._peers.get(inode)
        if found is not None:
            self._peers.move_to_end(inode)
        return found


class WaitingCalls:
    """The calls of one or several threads that wait for the same connect(2)."""

    def __init__(self, loop: Loop, listener: Listener, target: Target, sock: _originals.Socket) -> None:
        self._loop, self._listener, self._target = loop, listener, target
        seconds, microseconds = _TIMEVAL.unpack(sock.getsockopt(SOL_SOCKET, SO_SNDTIMEO, _TIMEVAL.size))
        self._seconds = seconds + microseconds / 1_000_000
        self._connects: dict[int, Timer | None] = {}
        self._questions: list[tuple[int, int, int, int]] = []

    def join(self, id: int, late: int) -> None:
        """Let a connect(2) wait, at most for SO_SNDTIMEO (socket(7)). Then it fails with the errno `late`.

        This is EINPROGRESS for the first connect(2), and EALREADY for another one.
        """
        self._connects[id] = self._loop.after(self._seconds, lambda: self._run_out(id, late)) if self._seconds else None

    @property
    def is_waited_for(self) -> bool:
        """True if a connect(2) waits: signals may have ended all of them."""
        return any(map(self._listener.is_valid, self._connects))

    def ask(self, id: int, thread: int, value: int, length: int) -> None:
        """Let a getsockopt(2) wait, whose result belongs at the address `value`, and its size at `length`."""
        self._questions.append((id, thread, value, length))

    def end(self, error: int) -> bool:
        """Answer all calls. Return True if one of them was told the outcome: signals may have ended all of them."""
        connects, self._connects = self._connects, {}
        for timer in filter(None, connects.values()):
            timer.cancel()
        questions, self._questions = self._questions, []
        told = [self._listener.answer(id, error=error) for id in connects]
        told += [_tell_error(self._listener, self._target, *question, error) for question in questions]
        return any(told)

    def _run_out(self, id: int, late: int) -> None:
        del self._connects[id]
        self._listener.answer(id, error=late)


class SocketQueries:
    """Answers getsockopt(2) of SO_ERROR, and getpeername(2), for one tree."""

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
        if not _tell_error(self._listener, self._target, id, thread, value, length, failure):
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


def _tell_error(listener: Listener, target: Target, id: int, thread: int, value: int, length: int, error: int) -> bool:
    """Answer getsockopt(2) of SO_ERROR. Return False if the call was over."""
    if not listener.is_valid(id):
        return False
    try:
        (room,) = _INT.unpack(target.read(thread, length, _INT.size))
        data = _INT.pack(error)[: max(room, 0)]
        target.write(thread, value, data)
        target.write(thread, length, _INT.pack(len(data)))
    except (OSError, struct.error):
        return listener.answer(id, error=EFAULT)
    return listener.answer(id)
