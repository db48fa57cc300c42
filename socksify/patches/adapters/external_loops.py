"""Goes on with pending tunnels for loops for which no poller of ours stands in: they wait in C, or by a copy of select.

Such a loop's adapter waits for an fd in the loop's way. What is to be waited for, how long, and when it is over is
said here.
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
    from collections.abc import Callable
    from typing import Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any, Protocol

    from socksify.tunnel.state import Tunnel

    class Turn(Protocol):
        """What green threads wait for while another one of them goes on with a tunnel."""

        def set(self) -> object:
            """Wake them."""


# Whose turn it is, of the tunnels that a green thread goes on with.
_turns: dict[Tunnel, Turn] = {}


def pending(fd: int) -> Tunnel | None:
    """The tunnel that an fd belongs to, while it is pending and no thread waits for it in connect()."""
    tunnel = registry.unsettled_at(fd) if registry.unsettled else None
    handshake = tunnel.handshake if tunnel is not None else None
    return tunnel if handshake is not None and not handshake.waits else None


def steps(tunnel: Tunnel) -> Generator[tuple[bool, float]]:
    """Go on with a handshake until the tunnel is settled.

    Yields whether its fd is to be waited for to be readable, else writable, and for how many seconds at the longest.
    Who does not go on to the end closes it.
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
    tunnel: Tunnel, wait: Callable[[bool, float], object], turn: Callable[[], Turn], rest: Callable[[Any], object]
) -> None:
    """Go on until it is settled; `wait` waits as the loop does, and may raise what the loop raises.

    The loops let one green thread at a time wait for an fd. So one goes on with a tunnel, and others rest until its
    turn is over, by `rest`, which may raise as well.
    """
    while (other := _turns.get(tunnel)) is not None:
        rest(other)
    own = _turns[tunnel] = turn()
    try:
        with closing(steps(tunnel)) as waits:
            for readable, seconds in waits:
                wait(readable, seconds)
    finally:
        del _turns[tunnel]
        own.set()


def outcome(tunnel: Tunnel) -> None:
    """Raise what a settled tunnel has failed with, to each of those that waited for it."""
    if tunnel.report is not None:
        raise guards_pending.told(tunnel)
    if tunnel.error is not None:
        raise errors.to_raise(tunnel.error)


# select() of gevent and of eventlet: the stdlib's, but it is the hub that waits, and green threads run meanwhile.


def select(wrapped: Callable[..., polling.Lists], _: object, args: Any, kwargs: Any) -> polling.Lists:
    """The wrapper of either."""
    if not registry.unsettled:
        return wrapped(*args, **kwargs)
    started = monotonic()
    given = signature(wrapped).bind(*args, **kwargs)
    given.apply_defaults()
    rlist, wlist, xlist, timeout = given.args
    return polling.select_by(wrapped, rlist, wlist, xlist, Clock(timeout, started))
