"""The server's event loop: one epoll set, timers, and calls handed over from other threads.

One thread for all sessions but those that move bulk (see `bulk`): in one process it relays more than a thread per
direction does, and a session that waits costs two file descriptors and no stack. Some facts about epoll that the loop
hides from its users:

EPOLLHUP and EPOLLERR are reported whatever the mask. A descriptor that nobody wants anything from is therefore
taken out of the set (mask 0), or a peer that went away would wake the loop for ever.

A batch of events may hold one for a descriptor that an earlier event's handler closed. Were its number reused at
once, the new socket would get the old one's event; so sockets are closed when the batch is over.

The embedded server runs in a process whose sockets and epolls are patched by us: everything here is an original
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
from socksify.server.core import tracebacks
from socksify.server.core.descriptor_reserve import SHORTAGES, Reserve
from socksify.server.core.splice_pipes import Pipes
from socksify.server.core.timers import Call, Timers, make

READABLE = select.EPOLLIN
WRITABLE = select.EPOLLOUT
# The peer has closed or half-closed; for who does not want to read what came before that.
HUNG_UP = select.EPOLLRDHUP
# Reported whatever is watched: there may be an error (SO_ERROR), or both directions are at their end.
FAILED = select.EPOLLERR | select.EPOLLHUP

# As many wakes are taken together.
_WAKES = 4096
# How long `pause` is.
PAUSE_SECONDS = 0.2
# Spares the call that makes it so afterwards.
_STREAM = socket.SOCK_STREAM | socket.SOCK_NONBLOCK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Called with the descriptor and what epoll says of it.
Handler = Callable[[int, int], object]


class Loop:
    """Not thread-safe, except for `call` and `stop`. `now` is the monotonic clock's time of the events at hand."""

    def __init__(self, is_guest: bool = False) -> None:
        self._epoll = select.epoll()
        # Whether the program around it may close its descriptors, for which it then looks at each turn.
        self.is_guest = is_guest
        # A pipe and no eventfd: to fstat(2) all of these are the same file.
        self._woken_by, self._waker = map(Kept, os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC))
        # By descriptor, which are small numbers: a list costs an idle connection less than a dictionary.
        self._handlers: list[Handler | None] = []
        self._masks: list[int] = []
        self._streams: list[_originals.Socket | None] = []
        self._doomed: list[_originals.Socket] = []
        self._calls: deque[Call] = deque()
        self._timers = Timers()
        # `after(seconds, call)` makes a Timer.
        self.after = self._timers.after
        self._running = True
        self.pipes = Pipes()
        # Descriptors that are given up for a socket when there are no others left. A loop begins with none of them.
        self.reserve = Reserve()
        # Guards the descriptor against a late `call`; reentrant, because a signal may find its holder.
        self._lock = RLock()
        self._closed = False
        self.now = monotonic()
        self.watch(self._woken_by.number, READABLE, self._woken)

    def stream(self, family: int) -> _originals.Socket:
        """A new non-blocking stream socket; to be given back to `discard`."""
        stream = self._socket(family, _STREAM)
        self._keep(stream.fileno(), stream)
        if family != socket.AF_UNIX:
            _set_options(stream)
        return stream

    def accept(self, listener: _originals.Socket) -> tuple[_originals.Socket, Any]:
        """The next connection, non-blocking and with the listener's options, and its peer's address.

        To be given back to `discard`. Raises OSError as accept(2) does.
        """
        fd, peer = listener._accept()  # type: ignore[attr-defined]  # typeshed has it on the subclass alone
        stream = _originals.Socket(listener.family, socket.SOCK_STREAM, 0, fd)
        stream.setblocking(False)
        self._keep(fd, stream)
        return stream, peer

    def datagrams(self, family: int) -> _originals.Socket:
        """A non-blocking datagram socket; to be given back to `discard`."""
        stream = self._socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._keep(stream.fileno(), stream)
        return stream

    def adopt(self, fd: int) -> _originals.Socket:
        """The socket of a descriptor, whatever it is, made non-blocking; to be given back to `discard`.

        Raises OSError for what is no socket.
        """
        stream = _originals.Socket(fileno=fd)
        stream.setblocking(False)
        self._keep(stream.fileno(), stream)
        if stream.family != socket.AF_UNIX:
            _set_options(stream)
        return stream

    def watch(self, fd: int, mask: int, handler: Handler) -> None:
        """Calls `handler` whenever one of `mask` is possible on `fd`, or it hung up; with mask 0, no more."""
        try:
            before = self._masks[fd]
        except IndexError:
            self._reach(fd)
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
        """Leaves a listener's queue alone for a while: where nobody can be accepted it would wake the loop for ever."""
        fd = listener.fileno()
        self.watch(fd, 0, handler)
        self.after(PAUSE_SECONDS, lambda: self._resume(fd, listener, handler))

    def discard(self, stream: _originals.Socket) -> None:
        """Closes a socket, once the events at hand are dealt with."""
        fd = stream.fileno()
        if fd < 0:
            return
        if self._masks[fd]:
            self._masks[fd] = 0
            self._handlers[fd] = None
            _originals.epoll_unregister(self._epoll, fd)
        self._streams[fd] = None
        self._doomed.append(stream)

    def keep_reserve(self) -> None:
        """Keep descriptors back from now on, as many as suit the limit of the process."""
        self.reserve = Reserve.of_process()

    def call(self, call: Call) -> None:
        """Has `call` made by the loop's thread; from any thread or signal handler. A closed loop calls nobody."""
        with self._lock:
            if not self._closed:
                self._calls.append(call)
                self._wake()

    def stop(self) -> None:
        """Ends `run`; from any thread or signal handler."""
        self.call(self._stop)

    def run(self) -> None:
        """Runs until `stop`."""
        poll, epoll, handlers, timers = _originals.epoll_poll, self._epoll, self._handlers, self._timers
        self.now = now = monotonic()
        while self._running and (not self.is_guest or self.is_there):
            # What the handlers have taken of the time since `now`, timers are late by.
            patience = timers.due - now
            try:
                events = poll(epoll, -1 if patience == inf else patience if patience > 0 else 0)
            except OSError:
                if self.is_there:
                    raise
                return
            self.now = now = monotonic()
            for fd, happened in events:
                handler = handlers[fd]
                if handler is not None:
                    try:
                        handler(fd, happened)
                    except Exception:
                        if self.is_guest and not self.is_there:
                            return
                        # A mistake in one session must not end all the others; nor be made again for ever.
                        tracebacks.tell()
                        self.watch(fd, 0, handler)
            if now >= timers.due:
                timers.fire(now)
            if self._doomed:
                self._close_doomed()

    def close(self) -> None:
        """Closes the loop's own descriptors, and every socket that it made."""
        if not self.is_there:
            self.give_up()
            return
        self._doomed.extend(filter(None, self._streams))
        self._streams.clear()
        self._close_doomed()
        with self._lock:
            self._closed = True
            self._epoll.close()
            self._woken_by.close()
            self._waker.close()
            self.pipes.close()
            self.reserve.close()

    def abandon(self) -> None:
        """In a forked child: closes every descriptor, and leaves the parent's epoll set and connections as they are."""
        if self._closed:
            # Its numbers are other people's by now.
            return
        if not self.is_there:
            self.give_up()
            return
        for stream in (*filter(None, self._streams), *self._doomed):
            stream.close()
        self._epoll.close()
        self._woken_by.close()
        self._waker.close()
        self.pipes.close()
        self.reserve.close()
        self._closed = True

    @property
    def is_there(self) -> bool:
        """Whether the loop still has its descriptors: a program around the server may close all that it finds."""
        return self._woken_by.fd is not None and self._waker.fd is not None

    def give_up(self) -> None:
        """The descriptors were closed behind our back: close none, for their numbers are other people's."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        for stream in (*filter(None, self._streams), *self._doomed):
            stream.detach()
        self._streams.clear()
        self._doomed.clear()
        # An epoll object cannot be told to let go of its number. This one lives until the interpreter's very end.
        epoll = self._epoll
        os.register_at_fork(after_in_child=lambda: epoll)

    def _wake(self) -> None:
        try:
            write(self._waker, b"\0")
        except BlockingIOError:  # it is full of wakes
            pass

    def _socket(self, family: int, kind: int) -> _originals.Socket:
        try:
            return _originals.Socket(family, kind)
        except OSError as error:
            if error.errno not in SHORTAGES or not self.reserve.give_up():
                raise
        return _originals.Socket(family, kind)

    def _resume(self, fd: int, listener: _originals.Socket, handler: Handler) -> None:
        # It may have been given back meanwhile, and its number be another one's.
        if self._streams[fd] is listener:
            self.watch(fd, READABLE, handler)

    def _stop(self) -> None:
        self._running = False

    def _keep(self, fd: int, stream: _originals.Socket) -> None:
        try:
            self._streams[fd] = stream
        except IndexError:
            self._reach(fd)
            self._streams[fd] = stream

    def _reach(self, fd: int) -> None:
        """Makes room for a descriptor that there was none for."""
        missing = fd + 1 - len(self._masks)
        self._masks += [0] * missing
        self._handlers += [None] * missing
        self._streams += [None] * missing

    def _woken(self, _fd: int, _events: int) -> None:
        fd = self._woken_by.fd
        if fd is not None:
            _originals.read(fd, _WAKES)
        while self._calls:
            make(self._calls.popleft())

    def _close_doomed(self) -> None:
        # In the order in which they were given up: who sees a connection end finds nobody listening any more, either.
        doomed, self._doomed = self._doomed, []
        for stream in doomed:
            stream.close()


def _set_options(stream: _originals.Socket) -> None:
    # What a peer sent as one segment is passed on at once, not held back for more.
    _originals.setsockopt(stream, socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # tcp(7): a byte that is sent as urgent, as FTP's ABOR is, is left out of what recv(2) returns otherwise.
    _originals.setsockopt(stream, socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
