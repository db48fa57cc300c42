"""Pending handshakes that a wait of the client drives although the client does not wait for their fds.

Without a proxy, the kernel connects a socket even if no thread waits for it. A program may connect without blocking,
and then poll only its listener. So each select, poll and epoll drives every pending handshake of the process. Two kinds
are left out: handshakes that a connect() waits for, and handshakes that an event loop drives itself
(`patches/adapters/external_loops`).

The handshakes are stored by the epoll objects that watch them. A wait on an epoll object has a stand-in for every
socket that the object watches. In a program with a single event loop, that loop's epoll object watches all handshakes,
so no further handshake has to be looked for. Several threads may wait for the same handshake. Each drives it under the
tunnel's lock, so the second thread has nothing to do.
"""

from __future__ import annotations

from _thread import get_ident
from select import POLLIN, POLLOUT

from socksify._originals import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable
    from typing import Any

    from socksify.tunnel.state import Tunnel

# The key of handshakes that no epoll object watches.
_NO_EPOLL = -1
# If another thread has polled a handshake within so many seconds, the handshake is left to that thread.
_RECENT = 0.1


class Others:
    """The tunnels that a wait drives although the client has not asked for their fds.

    `fds` maps each fd to the poll(2) events to wait for. `is_part` tells that more tunnels were left to other threads.
    Those threads may end.
    """

    __slots__ = ("_tunnels", "fds", "is_part")

    def __init__(self) -> None:
        self.fds: dict[int, int] = {}
        self.is_part = False
        self._tunnels: dict[int, Tunnel] = {}

    def add(self, fd: int, tunnel: Tunnel, events: int) -> None:
        """Add a tunnel, which waits for poll(2)'s `events` on `fd`."""
        self.fds[fd] = events
        self._tunnels[fd] = tunnel

    def leave_to_threads(self) -> None:
        """Note that more tunnels are left to other threads."""
        self.is_part = True

    def register(self, poller: Any) -> None:
        """Register the fds with a polling object, which may be an internal one or the client's."""
        for fd, events in self.fds.items():
            poller.register(fd, events)

    def unregister(self, poller: Any) -> None:
        """Take the fds out of a polling object again."""
        for fd in self.fds:
            poller.unregister(fd)

    def among(self, ready: Iterable[int]) -> list[Tunnel]:
        """Return the tunnels whose fds are in `ready`. Fds without a tunnel are ignored."""
        return [self._tunnels[fd] for fd in ready if fd in self._tunnels]

    def __bool__(self) -> bool:
        """Whether the wait has to end early, so that these tunnels are looked at again."""
        return self.is_part or bool(self.fds)


NOBODY = Others()


class Unattended:
    """The pending tunnels for which no connect() waits, by the epoll objects that watch them."""

    __slots__ = ("_polled", "_watched_by")

    def __init__(self) -> None:
        # The fd of an epoll object -> the pending tunnels that it watches.
        self._watched_by: dict[int, dict[Tunnel, None]] = {}
        # The fd of an epoll object -> the thread that polled it last, and when.
        self._polled: dict[int, tuple[int, float]] = {}

    def add(self, tunnel: Tunnel) -> None:
        """Add a pending tunnel for which no connect() waits. The epoll objects that watch the tunnel are known."""
        if tunnel.handshake is None:
            return
        for epoll_fd in _epolls(tunnel):
            self._watched_by.setdefault(epoll_fd, {})[tunnel] = None
        if tunnel.handshake is None:  # settled by another thread meanwhile
            self.discard(tunnel)

    def discard(self, tunnel: Tunnel) -> None:
        """Remove a tunnel whose handshake is over, or whose epoll objects are about to change."""
        if self._watched_by:
            for epoll_fd in _epolls(tunnel):
                self._watched_by.get(epoll_fd, {}).pop(tunnel, None)

    def is_empty(self) -> bool:
        """Whether no handshake is stored here."""
        return not any(self._watched_by.values())

    def beside(self, epoll_fd: int = _NO_EPOLL, fds: Container[int] = ()) -> Others:
        """Return the tunnels that a wait on the epoll object `epoll_fd`, or for `fds`, does not cover."""
        others = NOBODY
        now = 0.0
        for key, tunnels in self._watched_by.copy().items():
            if not tunnels or (key == epoll_fd and key != _NO_EPOLL):
                continue
            if others is NOBODY:
                others, now = Others(), monotonic()
            if self._is_polled_elsewhere(key, now):
                others.leave_to_threads()
                continue
            for tunnel in list(tunnels):
                _consider(tunnel, tunnels, fds, others)
        return others

    def polls(self, epoll_fd: int) -> None:
        """Note that this thread waits, or has just waited, on an epoll object."""
        if epoll_fd in self._watched_by:
            self._polled[epoll_fd] = get_ident(), monotonic()

    def clear(self) -> None:
        """Forget all handshakes. A child process does not drive the handshakes of its parent."""
        self._watched_by.clear()
        self._polled.clear()

    def _is_polled_elsewhere(self, epoll_fd: int, now: float) -> bool:
        thread, when = self._polled.get(epoll_fd, (0, 0.0))
        return thread not in (0, get_ident()) and now - when < _RECENT


def _consider(tunnel: Tunnel, tunnels: dict[Tunnel, None], fds: Container[int], others: Others) -> None:
    handshake = tunnel.handshake
    if handshake is None:
        tunnels.pop(tunnel, None)
        return
    if handshake.waits or handshake.driven or handshake.outcome or any(fd in fds for fd in list(tunnel.holders)):
        return
    fd = tunnel.own_fd()
    if fd is not None:
        others.add(fd, tunnel, handshake.events & (POLLIN | POLLOUT))


def _epolls(tunnel: Tunnel) -> list[int]:
    return [epoll_fd for _, epoll_fd in list(tunnel.watchers)] or [_NO_EPOLL]
