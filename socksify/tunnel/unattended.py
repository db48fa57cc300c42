"""Pending handshakes that a wait of the client's does not cover, and that the wait drives nevertheless.

Natively the kernel connects a socket whoever waits for what: a program may connect without blocking, and then poll
its listener alone. So each select, poll and epoll drives every pending handshake of the process. Two kinds are left
out: handshakes that a connect() waits for, and handshakes that an event loop drives itself
(`patches/adapters/external_loops`).

The handshakes are kept by the epoll objects that watch them. A wait on an epoll object has a stand-in for everything
that the object watches, and with a single event loop these are all handshakes there are: then no table is gone
through. Several threads may wait for the same handshake. It is driven under its lock, and the second thread has
nothing to do.
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
# A handshake that another thread has polled within so many seconds is left to that thread.
_RECENT = 0.1


class Others:
    """The tunnels that a wait drives although the client has not asked for their fds.

    `fds` tells which poll(2) events each fd is to be polled for. `is_part` tells that more tunnels were left to other
    threads, which may end.
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
        """Some more tunnels are left to other threads."""
        self.is_part = True

    def register(self, poller: Any) -> None:
        """Have a polling object of ours, or of the client's, wait for the fds."""
        for fd, events in self.fds.items():
            poller.register(fd, events)

    def unregister(self, poller: Any) -> None:
        """Take the fds out of a polling object again."""
        for fd in self.fds:
            poller.unregister(fd)

    def among(self, ready: Iterable[int]) -> list[Tunnel]:
        """Return the tunnels whose fds are `ready`; fds of others are passed over."""
        return [self._tunnels[fd] for fd in ready if fd in self._tunnels]

    def __bool__(self) -> bool:
        """Whether the wait is to be cut short now and then."""
        return self.is_part or bool(self.fds)


NOBODY = Others()


class Unattended:
    """The pending tunnels that no connect() waits for, by the epoll objects that watch them."""

    __slots__ = ("_polled", "_watched_by")

    def __init__(self) -> None:
        # The fd of an epoll object -> the pending tunnels that it watches.
        self._watched_by: dict[int, dict[Tunnel, None]] = {}
        # The fd of an epoll object -> the thread that polled it last, and when.
        self._polled: dict[int, tuple[int, float]] = {}

    def add(self, tunnel: Tunnel) -> None:
        """No connect() waits for this pending handshake; the epoll objects that watch it are known."""
        if tunnel.handshake is None:
            return
        for epoll_fd in _epolls(tunnel):
            self._watched_by.setdefault(epoll_fd, {})[tunnel] = None
        if tunnel.handshake is None:  # settled by another thread meanwhile
            self.discard(tunnel)

    def discard(self, tunnel: Tunnel) -> None:
        """The handshake is over, or the epoll objects that watch it are about to change."""
        if self._watched_by:
            for epoll_fd in _epolls(tunnel):
                self._watched_by.get(epoll_fd, {}).pop(tunnel, None)

    def is_empty(self) -> bool:
        """Whether no handshake is kept here."""
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
        """This thread waits on an epoll object, or has waited."""
        if epoll_fd in self._watched_by:
            self._polled[epoll_fd] = get_ident(), monotonic()

    def clear(self) -> None:
        """Forget all of them: in a child process nobody drives the handshakes of the parent."""
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
