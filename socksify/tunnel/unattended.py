"""Pending handshakes that a wait of the client's does not cover, and that it goes on with nevertheless.

Natively the kernel connects a socket whoever waits for what: a program may connect without blocking, and then poll
its listener alone. So each select, poll and epoll goes on with every pending handshake of the process, but for those
that a connect() waits for, and those that an event loop goes on with itself (`driving`).

They are kept by the epoll objects that watch them. A wait on an epoll object has a stand-in for all that it watches
already, and with a single event loop these are all there are: then nothing is gone through. Several threads may wait
for the same handshake; it is gone on with under its lock, and whoever comes second has nothing to do.
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

# Stands for an epoll object where there is none.
_NONE = -1
# The fd of an epoll object -> the pending tunnels that it watches.
_watched_by: dict[int, dict[Tunnel, None]] = {}
# The fd of an epoll object -> the thread that polled it last, and when.
_polled: dict[int, tuple[int, float]] = {}
# What another thread has polled within as many seconds is left to it.
_RECENT = 0.1


class Others:
    """The tunnels that a wait goes on with though nobody asked it for their fds.

    `fds` tells what each is to be polled for. `is_part` tells that more were left to other threads, which may end.
    """

    __slots__ = ("_tunnels", "fds", "is_part")

    def __init__(self) -> None:
        self.fds: dict[int, int] = {}
        self.is_part = False
        self._tunnels: dict[int, Tunnel] = {}

    def add(self, fd: int, tunnel: Tunnel, events: int) -> None:
        """One more, which waits for poll(2)'s `events` on an fd."""
        self.fds[fd] = events
        self._tunnels[fd] = tunnel

    def register(self, poller: Any) -> None:
        """Have a polling object of ours, or of the client's, wait for them."""
        for fd, events in self.fds.items():
            poller.register(fd, events)

    def unregister(self, poller: Any) -> None:
        """Take them out again."""
        for fd in self.fds:
            poller.unregister(fd)

    def among(self, ready: Iterable[int]) -> list[Tunnel]:
        """Those whose fds are ready; other fds are passed over."""
        return [self._tunnels[fd] for fd in ready if fd in self._tunnels]

    def __bool__(self) -> bool:
        """Whether the wait is to be cut short now and then."""
        return self.is_part or bool(self.fds)


NOBODY = Others()


def add(tunnel: Tunnel) -> None:
    """A handshake is pending that no connect() waits for; its watchers are known."""
    if tunnel.handshake is None:
        return
    for epoll_fd in _epolls(tunnel):
        _watched_by.setdefault(epoll_fd, {})[tunnel] = None
    if tunnel.handshake is None:  # settled by another thread meanwhile
        discard(tunnel)


def discard(tunnel: Tunnel) -> None:
    """It is over, or its watchers are about to change."""
    if _watched_by:
        for epoll_fd in _epolls(tunnel):
            _watched_by.get(epoll_fd, {}).pop(tunnel, None)


def beside(epoll_fd: int = _NONE, fds: Container[int] = ()) -> Others:
    """Those that a wait on an epoll object, or for some fds, does not cover."""
    others = NOBODY
    now = 0.0
    for key, tunnels in _watched_by.copy().items():
        if not tunnels or (key == epoll_fd and key != _NONE):
            continue
        if others is NOBODY:
            others, now = Others(), monotonic()
        if _is_polled_elsewhere(key, now):
            others.is_part = True
            continue
        for tunnel in list(tunnels):
            _consider(tunnel, tunnels, fds, others)
    return others


def polls(epoll_fd: int) -> None:
    """This thread waits on an epoll object, or has waited."""
    if epoll_fd in _watched_by:
        _polled[epoll_fd] = get_ident(), monotonic()


def after_fork() -> None:
    """In a child nobody goes on with the parent's."""
    _watched_by.clear()
    _polled.clear()


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


def _is_polled_elsewhere(epoll_fd: int, now: float) -> bool:
    thread, when = _polled.get(epoll_fd, (0, 0.0))
    return thread not in (0, get_ident()) and now - when < _RECENT


def _epolls(tunnel: Tunnel) -> list[int]:
    return [epoll_fd for _, epoll_fd in list(tunnel.watchers)] or [_NONE]
