"""Pending tunnels in loops for which no poller of ours stands in: they wait in C, or by a copy of select.

The adapter of such a loop waits for a file descriptor by the loop's own means. This module says what has to be waited
for, for how long, and when the wait is over. `select` is the wrapper of the select() of gevent and of eventlet, in
which the hub waits and lets other green threads run.
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
        """An event: other green threads wait for it while one green thread advances a tunnel."""

        def set(self) -> object:
            """Wake them."""


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
        """Wake those that wait for the turn."""
        self._turns.pop(tunnel).set()


_TURNS = _Turns()


def pending(fd: int) -> Tunnel | None:
    """Return the tunnel of a descriptor while it is pending and no thread waits for it in connect(); else None."""
    tunnel = registry.unsettled_at(fd) if registry.unsettled else None
    handshake = tunnel.handshake if tunnel is not None else None
    return tunnel if handshake is not None and not handshake.waits else None


def steps(tunnel: Tunnel) -> Generator[tuple[bool, float]]:
    """Advance a handshake until the tunnel is settled.

    Before each step the generator yields what has to be waited for: True if the descriptor has to become readable,
    False if it has to become writable, and the longest time to wait in seconds. A caller that does not go on to the end
    has to close the generator.
    """
    handshake = tunnel.handshake
    if handshake is None:
        return
    handshake.drive_by_loop(True)
    # The loop may poll by a poller of ours.
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

    `wait(readable, seconds)` waits for the descriptor as the loop does, see `steps`. If another green thread advances
    the tunnel, `wait_for_turn(turn)` waits until that one's turn, which `make_turn()` has made, is over. Both may raise
    what the loop raises; that ends the call.
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
    """Raise the error with which a settled tunnel has failed, if it has, to each of those that waited for it."""
    if tunnel.report is not None:
        raise guards_pending.reported_failure(tunnel)
    if tunnel.error is not None:
        raise errors.to_raise(tunnel.error)


def select(wrapped: Callable[..., polling.Lists], _: object, args: Any, kwargs: Any) -> polling.Lists:
    """Wrap the select() of gevent or of eventlet."""
    if not registry.unsettled:
        return wrapped(*args, **kwargs)
    started = monotonic()
    given = signature(wrapped).bind(*args, **kwargs)
    given.apply_defaults()
    rlist, wlist, xlist, timeout = given.args
    return polling.select_by(wrapped, rlist, wlist, xlist, Clock(timeout, started))
