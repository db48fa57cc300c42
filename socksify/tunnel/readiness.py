"""Stand-ins: the events that pollers wait for while a handshake is pending, and the events that they report.

An essay on the rule. A client that polls a connecting socket wants to know when the *tunnel* is open, but the kernel
knows only the connection to the proxy. So these rules hold for an unsettled tunnel:

  - The kernel is asked for the event that the handshake waits for, instead of the events that the client asked for.
  - When that event comes, the handshake is advanced, and the client is told nothing.
  - Once the tunnel is open, the client's own mask is restored, and the kernel's report is passed on.
  - A listening socket, which is a connection to the proxy, is readable when a peer has come, and never writable.
  - Once the tunnel has failed, the client is told the events of a failed connect(2). POLLERR and POLLHUP are always
    reported; readable, writable and POLLRDHUP only if the client has asked for them. This ends when the failure has
    been reported.

A wait is cut short at the deadline of the oldest handshake, which then fails. No function here loops over the pending
handshakes: a wait costs the same with one handshake and with five thousand.
"""

from __future__ import annotations

from math import ceil
from select import POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLRDHUP, POLLRDNORM, POLLWRNORM

from socksify import _originals
from socksify._originals import monotonic
from socksify.tunnel import connect
from socksify.tunnel.registry import registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from socksify.tunnel.state import Tunnel
    from socksify.tunnel.unattended import Others

    Events = list[tuple[int, int]]

# poll(2) and epoll_ctl(2) use the same bits.
_FAILED = POLLERR | POLLHUP
# The events that poll(2) reports without being asked.
_ALWAYS = POLLERR | POLLHUP | POLLNVAL
# The events of a refused connect(2) that poll(2) reports only if it is asked for them.
_ENDED = POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM | POLLRDHUP
# The events of an unconnected socket, such as a socket that was shut down while it was connecting.
_UNCONNECTED = POLLOUT | POLLWRNORM

# The bits of poll(2), without the bits that only epoll has, such as EPOLLET.
_POLL_BITS = 0xFFFF

_RECHECK = 0.1


class Clock:
    """A client's timeout in seconds, counted from `started`. A timeout of None, or a negative one, never ends."""

    __slots__ = ("_end",)

    def __init__(self, timeout: float | None, started: float) -> None:
        self._end = None if timeout is None or timeout < 0 else started + timeout

    def is_over(self) -> bool:
        """Whether the client has waited long enough."""
        return self._end is not None and monotonic() >= self._end

    def timeout(self) -> float | None:
        """Return the longest time to wait, in seconds; None if there is no limit.

        The wait ends with the client's timeout, or earlier, at the deadline of the oldest handshake.
        """
        ends = [end for end in (self._end, _next_deadline()) if end is not None]
        return max(0.0, min(ends) - monotonic()) if ends else None

    def short_timeout(self) -> float | None:
        """Return the same as timeout(), but at most a tenth of a second. poll(2) and select(2) need this limit.

        A restored mask wakes a thread in epoll_wait(2), but does not wake a thread in poll(2) or select(2). If another
        thread reads the proxy's last answer, no event is left that ends a poll(2) or select(2). So the thread has to
        look again soon.
        """
        left = self.timeout()
        return _RECHECK if left is None else min(left, _RECHECK)


def wait(look: Callable[[Clock], Events], clock: Clock, masks: Callable[[int], int]) -> Events:
    """Poll until there is an event to report or the time is over. Return the events: pairs of an fd and its events.

    `look` polls once, for as long as the clock allows. `masks` returns the client's mask for an fd, -1 if the mask is
    not known.
    """
    while True:
        events = look(clock)
        ready, moved = sift(events, masks)
        if ready:
            return ready
        if not moved and clock.is_over():
            return []


def sift(events: Iterable[tuple[int, int]], masks: Callable[[int], int]) -> tuple[Events, bool]:
    """Return the part of the kernel's report that the client may be told, and whether polling again might show more.

    `masks` is the same function as in wait().
    """
    ready = []
    moved = _expire_oldest()
    for fd, event in events:
        tunnel = registry.unsettled_at(fd)
        if tunnel is not None and _is_driven(tunnel):
            tunnel = None
        # `handshake` is read once only, because another thread may settle the tunnel at any moment.
        handshake = tunnel.handshake if tunnel is not None else None
        if tunnel is not None and (handshake is not None or _asks_again(tunnel)):
            was_over = handshake is not None and bool(handshake.outcome)
            if drive(tunnel):
                continue
            moved = True
            if not was_over:
                continue
        told = _client_events(tunnel, fd, event, masks(fd))
        if told:
            ready.append((fd, told))
        else:
            moved = True
    return ready, moved


def _client_events(tunnel: Tunnel | None, fd: int, event: int, mask: int) -> int:
    """Return what the client is told of an fd for which the kernel has reported `event`."""
    if tunnel is None:
        # If another thread has settled the tunnel just now, the event may come from a stand-in, so it is masked.
        return event & (mask | _ALWAYS)
    if tunnel.report is not None:
        return event & (mask | _ALWAYS) | _FAILED | mask & (_UNCONNECTED if tunnel.is_shut else _ENDED)
    # Another thread is settling the tunnel, or has read the proxy's first answer to a BIND. So the kernel's report may
    # belong to a stand-in or to the client's own mask. The kernel reports an edge only once, so poll(2) asks it again.
    poller = _originals.poll()
    poller.register(fd, tunnel.reportable(mask) & _POLL_BITS)
    return dict(poller.poll(0)).get(fd, 0)


def drive(tunnel: Tunnel) -> int:
    """Drive the handshake of a pending tunnel whose fd one of the client's pollers has found ready.

    Returns the events to wait for, 0 when the tunnel is settled.
    """
    # Both are read once only, because another thread may settle the tunnel, or take its peer, at any moment.
    handshake, listener = tunnel.handshake, tunnel.listener
    if handshake is None and listener is not None:
        return listener.ask_again(tunnel)
    if handshake is not None:
        handshake.mark_polled()
    return connect.advance(tunnel)


def wanted(fd: int, mask: int = 0) -> int | None:
    """Return the poll(2) events that stand in for the client's `mask`; None for an fd that needs no stand-in."""
    tunnel = registry.unsettled_at(fd)
    if tunnel is None:
        return None
    handshake = tunnel.handshake
    if handshake is not None:
        handshake.mark_polled()
        return None if handshake.driven else handshake.events
    return tunnel.awaited(mask) if tunnel.listens else None


def hand_to_pollers(fd: int, tunnel: Tunnel) -> None:
    """Leave a pending handshake to the client's pollers, because its connect() returns now.

    Pollers that watch the fd already wait for the handshake's events from now on.
    """
    handshake = tunnel.handshake
    if handshake is not None:
        registry.deadlines.limit(tunnel, handshake)
        registry.epoll_masks.stand_in(tunnel, fd)
        registry.unattended.add(tunnel)
        handshake.leave_to_pollers(polled=bool(tunnel.watchers))


def wait_readable(fd: int, timeout: float | None) -> None:
    """Wait until an fd is readable, or for `timeout` seconds, and drive the pending handshakes meanwhile.

    Handshakes that an event loop drives are left to the loop.
    """

    def look(clock: Clock) -> Events:
        poller = _originals.poll()
        own = wanted(fd, POLLIN)
        poller.register(fd, POLLIN if own is None else own)
        others = registry.unattended.beside(fds=(fd,))
        return poll_beside(others, poller, clock, own is not None)

    wait(look, Clock(timeout, monotonic()), lambda other: POLLIN if other == fd else 0)


def poll_beside(others: Others, poller: Any, clock: Clock, glances: bool = False) -> Events:
    """Poll once, and drive the handshakes in `others` as well. Return the events of all other fds.

    `glances` tells that the wait has stand-ins, so it has to end soon.
    """
    others.register(poller)
    try:
        seconds = clock.short_timeout() if glances or others else clock.timeout()
        events: Events = poller.poll(None if seconds is None else ceil(seconds * 1000))
    finally:
        # The poller may be the client's own object.
        others.unregister(poller)
    drive_ready(others, (fd for fd, _ in events))
    return [(fd, event) for fd, event in events if fd not in others.fds]


def drive_ready(others: Others, ready: Iterable[int]) -> None:
    """Drive the handshakes in `others` whose fds are in `ready`."""
    for tunnel in others.among(ready):
        connect.advance(tunnel)


def _is_driven(tunnel: Tunnel) -> bool:
    """Whether an event loop drives the handshake. The loop has to see the kernel's own report."""
    handshake = tunnel.handshake
    return handshake is not None and handshake.driven


def _asks_again(tunnel: Tunnel) -> bool:
    """Whether a listening socket is idle, so that its proxy has to be asked to listen for the next peer."""
    listener = tunnel.listener
    return tunnel.listens and listener is not None and listener.is_idle


def _next_deadline() -> float | None:
    tunnel = registry.deadlines.next_over()
    handshake = tunnel.handshake if tunnel is not None else None
    return handshake.deadline if handshake is not None else None


def _expire_oldest() -> bool:
    """Fail the handshakes whose time is over; return whether there were any."""
    expired = False
    now = monotonic()
    while (tunnel := registry.deadlines.next_over()) is not None and connect.expire(tunnel, now):
        expired = True
    return expired
