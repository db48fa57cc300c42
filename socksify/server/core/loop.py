"""The server's event loop: one epoll set, timers, and calls handed over from other threads.

One thread serves all sessions, except the relays that carry bulk (see `session.bulk_thread`). One thread for all
relays more bytes than one thread for each direction, and a session that waits costs two file descriptors and no stack.
Two facts about epoll are hidden from the users of the loop:

epoll reports EPOLLHUP and EPOLLERR with every mask, also with 0. A descriptor with mask 0 is therefore taken out of the
set. Otherwise a peer that went away would wake the loop for ever.

A batch of events may hold an event for a descriptor that the handler of an earlier event closed. If its number were
reused at once, the new socket would get the event of the old one. So sockets are closed at the end of the batch.

The embedded server runs in a process whose sockets and epolls are patched by socksify. Everything here is an original
of `_originals`, so that the server's own connections are never routed through the server.
"""

from __future__ import annotations

import os
import select
import socket
from _thread import RLock
from collections import deque
from collections.abc import Callable
from math import inf

from socksify import _originals
from socksify._descriptors import Kept, write
from socksify._originals import monotonic
from socksify.server.core.calls import Call, Timers, call_safely, report_error
from socksify.server.core.descriptors import SHORTAGES, Pipes, Reserve

READABLE = select.EPOLLIN
WRITABLE = select.EPOLLOUT
# The peer has closed or half-closed its side. This event is for a handler that does not read the data before the end.
HUNG_UP = select.EPOLLRDHUP
# Reported with every mask: there may be an error (SO_ERROR), or both directions have ended.
FAILED = select.EPOLLERR | select.EPOLLHUP

# How many wake-up bytes are read at once.
_WAKES = 4096
# How long `pause` stops watching a listener.
PAUSE_SECONDS = 0.2
# A socket that is made non-blocking at once needs no system call for that.
_STREAM = socket.SOCK_STREAM | socket.SOCK_NONBLOCK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Called with the descriptor and its events, as epoll reports them.
Handler = Callable[[int, int], object]


class Loop:
    """An event loop for one thread, which must close it. Other threads may use only `call` and `stop`.

    `is_embedded` is True if the program around the loop may close the loop's descriptors. The loop then checks at each
    turn whether it still has them.
    `now` is the monotonic clock's time of the current events.
    """

    def __init__(self, is_embedded: bool = False) -> None:
        self._epoll = select.epoll()
        self.is_embedded = is_embedded
        # A pipe, because fstat(2) cannot tell one eventfd from another.
        self._woken_by, self._waker = map(Kept, os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC))
        # Lists indexed by descriptor. Descriptors are small numbers, so a list takes less memory than a dictionary.
        self._handlers: list[Handler | None] = []
        self._masks: list[int] = []
        self._streams: list[_originals.Socket | None] = []
        # Sockets that are closed at the end of the batch.
        self._discarded: list[_originals.Socket] = []
        self._calls: deque[Call] = deque()
        self._timers = Timers()
        # `after(seconds, call)` returns a Timer.
        self.after = self._timers.after
        self._running = True
        self.pipes = Pipes()
        # Descriptors that are closed to make room for a socket when no others are left. The reserve is empty at first.
        self.reserve = Reserve()
        # Guards the waker against a late `call`. It is reentrant, because a signal handler may run while it is held.
        self._lock = RLock()
        self._closed = False
        self.now = monotonic()
        self.watch(self._woken_by.number, READABLE, self._woken)

    def stream(self, family: int) -> _originals.Socket:
        """Return a new non-blocking stream socket. `discard` closes it."""
        stream = self._socket(family, _STREAM)
        self._keep(stream.fileno(), stream)
        if family != socket.AF_UNIX:
            _set_options(stream)
        return stream

    def datagrams(self, family: int) -> _originals.Socket:
        """Return a new non-blocking datagram socket. `discard` closes it."""
        stream = self._socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._keep(stream.fileno(), stream)
        return stream

    def accept(self, listener: _originals.Socket) -> tuple[_originals.Socket, Any]:
        """Return the next connection and its peer's address. `discard` closes the connection.

        The connection is non-blocking and has the listener's options. Raises OSError as accept(2) does.
        """
        fd, peer = listener._accept()  # type: ignore[attr-defined]  # typeshed has it on the subclass alone
        stream = _originals.Socket(listener.family, socket.SOCK_STREAM, 0, fd)
        stream.setblocking(False)
        self._keep(fd, stream)
        return stream, peer

    def adopt(self, fd: int) -> _originals.Socket:
        """Return the socket, of any kind, that has this descriptor. `discard` closes it.

        The socket becomes non-blocking. Raises OSError if the descriptor is no socket.
        """
        stream = _originals.Socket(fileno=fd)
        stream.setblocking(False)
        self._keep(stream.fileno(), stream)
        if stream.family != socket.AF_UNIX:
            _set_options(stream)
        return stream

    def keep(self, stream: _originals.Socket) -> None:
        """Let `discard` close a socket that was made elsewhere. Its mode and its options stay as they are."""
        self._keep(stream.fileno(), stream)

    def discard(self, stream: _originals.Socket) -> None:
        """Close a socket, after the current events."""
        fd = stream.fileno()
        if fd < 0:
            return
        if self._masks[fd]:
            self._masks[fd] = 0
            self._handlers[fd] = None
            _originals.epoll_unregister(self._epoll, fd)
        self._streams[fd] = None
        self._discarded.append(stream)

    def keep_reserve(self) -> None:
        """Keep descriptors in reserve from now on, as many as suit the process's limit of open files."""
        self.reserve = Reserve.of_process()

    def watch(self, fd: int, mask: int, handler: Handler) -> None:
        """Call `handler` at each event of `mask` on `fd`, and at FAILED. With mask 0, stop watching `fd`."""
        try:
            before = self._masks[fd]
        except IndexError:
            self._extend_to(fd)
            before = 0
        self._handlers[fd] = handler if mask else None
        if mask == before:
            return
        self._masks[fd] = mask
        if not before:
            _originals.epoll_register(self._epoll, fd, mask)
        elif mask:
            _originals.epoll_modify(self._epoll, fd, mask)
        else:
            _originals.epoll_unregister(self._epoll, fd)

    def pause(self, listener: _originals.Socket, handler: Handler) -> None:
        """Stop watching a listener for PAUSE_SECONDS.

        While nothing can be accepted, the clients that wait in the listener's queue would always wake the loop.
        """
        fd = listener.fileno()
        self.watch(fd, 0, handler)
        self.after(PAUSE_SECONDS, lambda: self._resume(fd, listener, handler))

    def call(self, call: Call) -> None:
        """Let the loop's thread make `call`. Any thread or signal handler may ask. A closed loop ignores the call."""
        with self._lock:
            if not self._closed:
                self._calls.append(call)
                self._wake()

    def stop(self) -> None:
        """End `run`. Any thread or signal handler may call this."""
        self.call(self._stop)

    def run(self) -> None:
        """Handle events until `stop`."""
        poll, epoll, handlers, timers = _originals.epoll_poll, self._epoll, self._handlers, self._timers
        self.now = now = monotonic()
        while self._running and (not self.is_embedded or self.has_descriptors):
            # The handlers have taken some time since `now`. A timer may be late by that much.
            timeout = timers.due - now
            try:
                events = poll(epoll, -1 if timeout == inf else timeout if timeout > 0 else 0)
            except OSError:
                if self.has_descriptors:
                    raise
                return
            self.now = now = monotonic()
            for fd, fd_events in events:
                handler = handlers[fd]
                if handler is not None:
                    try:
                        handler(fd, fd_events)
                    except Exception:
                        if self.is_embedded and not self.has_descriptors:
                            return
                        # An error in one session must not end all the others, nor be raised again for ever.
                        report_error()
                        self.watch(fd, 0, handler)
            if now >= timers.due:
                timers.fire(now)
            if self._discarded:
                self._close_discarded()

    def close(self) -> None:
        """Close the loop's own descriptors, and every socket that it made."""
        if not self.has_descriptors:
            self.forget_descriptors()
            return
        self._discarded.extend(filter(None, self._streams))
        self._streams.clear()
        self._close_discarded()
        with self._lock:
            self._closed = True
            self._close_own()

    def abandon(self) -> None:
        """In a forked child, close every descriptor. The parent's epoll set and connections stay as they are."""
        if self._closed:
            # The numbers may belong to other files by now.
            return
        if not self.has_descriptors:
            self.forget_descriptors()
            return
        for stream in (*filter(None, self._streams), *self._discarded):
            stream.close()
        self._close_own()
        self._closed = True

    @property
    def has_descriptors(self) -> bool:
        """True if the loop still has its descriptors. A program around the server may close all open descriptors."""
        return self._woken_by.fd is not None and self._waker.fd is not None

    def forget_descriptors(self) -> None:
        """Forget the descriptors, which the program has closed: their numbers may belong to other files by now."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        for stream in (*filter(None, self._streams), *self._discarded):
            stream.detach()
        self._streams.clear()
        self._discarded.clear()
        # An epoll object closes its number when it dies, and cannot forget it. This reference keeps it alive until the
        # interpreter ends.
        epoll = self._epoll
        os.register_at_fork(after_in_child=lambda: epoll)

    def _close_own(self) -> None:
        self._epoll.close()
        self._woken_by.close()
        self._waker.close()
        self.pipes.close()
        self.reserve.close()

    def _socket(self, family: int, kind: int) -> _originals.Socket:
        try:
            return _originals.Socket(family, kind)
        except OSError as error:
            if error.errno not in SHORTAGES or not self.reserve.give_up():
                raise
        return _originals.Socket(family, kind)

    def _keep(self, fd: int, stream: _originals.Socket) -> None:
        try:
            self._streams[fd] = stream
        except IndexError:
            self._extend_to(fd)
            self._streams[fd] = stream

    def _extend_to(self, fd: int) -> None:
        """Make the lists long enough for a descriptor."""
        missing = fd + 1 - len(self._masks)
        self._masks += [0] * missing
        self._handlers += [None] * missing
        self._streams += [None] * missing

    def _close_discarded(self) -> None:
        # The order is that of `discard`. If a listener was discarded before a connection, a peer that sees the
        # connection end can no longer connect to the listener.
        discarded, self._discarded = self._discarded, []
        for stream in discarded:
            stream.close()

    def _resume(self, fd: int, listener: _originals.Socket, handler: Handler) -> None:
        # The listener may have been discarded meanwhile, and another socket may have its number.
        if self._streams[fd] is listener:
            self.watch(fd, READABLE, handler)

    def _wake(self) -> None:
        try:
            write(self._waker, b"\0")
        except BlockingIOError:  # it is full of wake-ups
            pass

    def _woken(self, _fd: int, _events: int) -> None:
        fd = self._woken_by.fd
        if fd is not None:
            _originals.read(fd, _WAKES)
        while self._calls:
            call_safely(self._calls.popleft())

    def _stop(self) -> None:
        self._running = False


def _set_options(stream: _originals.Socket) -> None:
    # A segment that a peer has sent is passed on at once, not held back for more.
    _originals.setsockopt(stream, socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # tcp(7): otherwise recv(2) leaves out a byte that is sent as urgent data, such as FTP's ABOR.
    _originals.setsockopt(stream, socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
