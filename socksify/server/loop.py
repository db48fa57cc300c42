"""The server's event loop: one epoll set, timers, and calls handed over from other threads.

One thread for all sessions: in one process it relays more than a thread per direction does, and a session that
waits costs two file descriptors and no stack. Some facts about epoll that the loop hides from its users:

EPOLLHUP and EPOLLERR are reported whatever the mask. A descriptor that nobody wants anything from is therefore
taken out of the set (mask 0), or a peer that went away would wake the loop for ever.

A batch of events may hold one for a descriptor that an earlier event's handler closed. Were its number reused at
once, the new socket would get the old one's event; so sockets are closed when the batch is over.

The embedded server runs in a process whose sockets and epolls are patched by us: everything here is an original
of `_real`, so that the server's own connections are never routed through the server.
"""

from __future__ import annotations

import heapq
import os
import select
import socket
import time
import traceback
from _thread import RLock
from collections import deque
from collections.abc import Callable
from itertools import count

from socksify import _real

READABLE = select.EPOLLIN
WRITABLE = select.EPOLLOUT

Handler = Callable[[], object]


class Timer:
    """A call to be made later, unless it is cancelled."""

    __slots__ = ("_call",)

    def __init__(self, call: Handler) -> None:
        self._call: Handler | None = call

    def cancel(self) -> None:
        self._call = None

    def fire(self) -> None:
        if self._call is not None:
            self._call()


class Loop:
    """Not thread-safe, except for `call` and `stop`."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._watched: dict[int, tuple[int, Handler]] = {}
        self._streams: set[_real.Socket] = set()
        self._doomed: list[_real.Socket] = []
        self._calls: deque[Handler] = deque()
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._running = True
        # Guards the descriptor against a late `call`; reentrant, because a signal may find its holder.
        self._lock = RLock()
        self._closed = False
        self.watch(self._wake_fd, READABLE, self._woken)

    def stream(self, family: int, fd: int = -1) -> _real.Socket:
        """A non-blocking TCP socket, new or made of `fd`; to be given back to `discard`."""
        stream = _real.Socket(family, socket.SOCK_STREAM, 0, None if fd < 0 else fd)
        self._streams.add(stream)
        stream.setblocking(False)
        # What a peer sent as one segment is passed on at once, not held back for more.
        _real.setsockopt(stream, socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return stream

    def watch(self, fd: int, mask: int, handler: Handler) -> None:
        """Calls `handler` whenever one of `mask` is possible on `fd`, or it hung up; with mask 0, no more."""
        if not mask:
            self._forget(fd)
            return
        before = self._watched.get(fd)
        self._watched[fd] = (mask, handler)
        if before is None:
            _real.epoll_register(self._epoll, fd, mask)
        elif before[0] != mask:
            _real.epoll_modify(self._epoll, fd, mask)

    def discard(self, stream: _real.Socket) -> None:
        """Closes a socket, once the events at hand are dealt with."""
        self._forget(stream.fileno())
        self._doomed.append(stream)

    def after(self, seconds: float, call: Handler) -> Timer:
        timer = Timer(call)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._order), timer))
        return timer

    def call(self, handler: Handler) -> None:
        """Has `handler` called by the loop's thread; from any thread or signal handler. A closed loop calls nobody."""
        with self._lock:
            if not self._closed:
                self._calls.append(handler)
                os.eventfd_write(self._wake_fd, 1)

    def stop(self) -> None:
        """Ends `run`; from any thread or signal handler."""
        self.call(self._stop)

    def run(self) -> None:
        """Runs until `stop`."""
        while self._running:
            for fd, _ in _real.epoll_poll(self._epoll, self._patience()):
                self._dispatch(fd)
            self._fire_timers()
            self._close_doomed()

    def close(self) -> None:
        """Closes the loop's own descriptors, and every socket that it made."""
        self._doomed.extend(self._streams)
        self._close_doomed()
        with self._lock:
            self._closed = True
            self._epoll.close()
            os.close(self._wake_fd)

    def abandon(self) -> None:
        """In a forked child: closes every descriptor, and leaves the parent's epoll set and connections as they are."""
        if self._closed:
            # Its numbers are other people's by now.
            return
        for stream in self._streams:
            stream.close()
        self._epoll.close()
        os.close(self._wake_fd)
        self._closed = True

    def _dispatch(self, fd: int) -> None:
        watched = self._watched.get(fd)
        if watched is None:
            return
        try:
            watched[1]()
        except Exception:
            # A mistake in one session must not end all the others; nor be made again for ever.
            traceback.print_exc()
            self._forget(fd)

    def _stop(self) -> None:
        self._running = False

    def _forget(self, fd: int) -> None:
        if self._watched.pop(fd, None) is not None:
            _real.epoll_unregister(self._epoll, fd)

    def _woken(self) -> None:
        os.eventfd_read(self._wake_fd)
        while self._calls:
            self._calls.popleft()()

    def _patience(self) -> float:
        """Seconds until the next timer; -1 is for ever."""
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else -1

    def _fire_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2].fire()

    def _close_doomed(self) -> None:
        while self._doomed:
            stream = self._doomed.pop()
            self._streams.discard(stream)
            stream.close()
