"""Pending tunnels in loops that do not use our pollers, because they wait in C or by a copy of select.

The adapter of such a loop waits for a file descriptor by the loop's own methods. This module tells the adapter which
event to wait for, the longest time to wait, and when the tunnel is settled. `select` wraps the select() of gevent and
of eventlet, in which the hub waits and lets other green threads run.
"""

from __future__ import annotations

from contextlib import closing
from inspect import signature
from select import POLLIN

from socksify._originals import monotonic
from socksify.patches import polling
from socksify.patches.guards import pending as guards_pending
from socksify.tunnel import connect, errors
from socksify.tunnel.readiness import Clock
from socksify.tunnel.registry import registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any, Protocol

    from socksify.tunnel.state import Tunnel

    class Turn(Protocol):
        """An event that other green threads wait for while one green thread advances a tunnel."""

        def set(self) -> object:
            """Wake the other green threads."""


class _Turns:
    """The turns of green threads, by tunnel: a loop lets only one green thread at a time wait for a descriptor."""

    def __init__(self) -> None:
        self._turns: dict[Tunnel, Turn] = {}

    def of(self, tunnel: Tunnel) -> Turn | None:
        """Return the turn of the green thread that advances this tunnel, if there is one."""
        return self._turns.get(tunnel)

    def begin(self, tunnel: Tunnel, turn: Turn) -> None:
        """Let the calling green thread advance the tunnel until end()."""
        self._turns[tunnel] = turn

    def end(self, tunnel: Tunnel) -> None:
        """End the turn, and wake the green threads that wait for it."""
        self._turns.pop(tunnel).set()


_TURNS = _Turns()


def pending(fd: int) -> Tunnel | None:
    """Return the tunnel of a descriptor while it is pending and no thread waits for it in connect(); else None."""
    tunnel = registry.unsettled_at(fd) if registry.unsettled else None
    handshake = tunnel.handshake if tunnel is not None else None
    return tunnel if handshake is not None and not handshake.waits else None


def steps(tunnel: Tunnel) -> Generator[tuple[bool, float]]:
    """Advance a handshake until the tunnel is settled.

    Before each step the generator yields (readable, seconds). `readable` is True if the caller has to wait until the
    descriptor is readable, and False if until it is writable. `seconds` is the longest time to wait. A caller that does
    not exhaust the generator has to close it.
    """
    handshake = tunnel.handshake
    if handshake is None:
        return
    handshake.drive_by_loop(True)
    # The loop may use one of our epoll objects after all, which has masked the descriptor's events.
    registry.epoll_masks.restore(tunnel)
    try:
        while (events := connect.advance(tunnel)) and not tunnel.released:
            left = handshake.deadline - monotonic()
            if left > 0:
                yield bool(events & POLLIN), left
            else:
                connect.expire(tunnel, monotonic())
    finally:
        handshake.drive_by_loop(False)


def settle(
    tunnel: Tunnel,
    wait: Callable[[bool, float], object],
    make_turn: Callable[[], Turn],
    wait_for_turn: Callable[[Any], object],
) -> None:
    """Advance a tunnel in a green thread until it is settled.

    `wait(readable, seconds)` waits for the descriptor as the loop does; `steps` explains its arguments. `make_turn()`
    returns a new Turn. If another green thread advances the tunnel, `wait_for_turn(turn)` waits until the turn of that
    thread is over. If `wait` or `wait_for_turn` raises an exception of the loop, it propagates to the caller.
    """
    while (other := _TURNS.of(tunnel)) is not None:
        wait_for_turn(other)
    _TURNS.begin(tunnel, make_turn())
    try:
        with closing(steps(tunnel)) as waits:
            for readable, seconds in waits:
                wait(readable, seconds)
    finally:
        _TURNS.end(tunnel)


def raise_outcome(tunnel: Tunnel) -> None:
    """Raise the error of a settled tunnel, if it has failed. Each green thread that waited for it calls this."""
    if tunnel.report is not None:
        raise guards_pending.reported_failure(tunnel)
    if tunnel.error is not None:
        raise errors.to_raise(tunnel.error)


def select(wrapped: Callable[..., polling.Lists], _: object, args: Any, kwargs: Any) -> polling.Lists:
    """Wrap the select() of gevent or of eventlet."""
    if not registry.unsettled:
        return wrapped(*args, **kwargs)
    started = monotonic()
    bound = signature(wrapped).bind(*args, **kwargs)
    bound.apply_defaults()
    rlist, wlist, xlist, timeout = bound.args
    return polling.select_by(wrapped, rlist, wlist, xlist, Clock(timeout, started))
