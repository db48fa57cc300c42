"""The tunnels whose handshake is pending, and which of them is the first to run out of time.

Dicts keep the order of insertion: among handshakes that may take equally long the oldest is over first, so that
nothing here is searched, however many are pending.
"""

from __future__ import annotations

from socksify._signal_safety import ours
from socksify.tunnel import unattended

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.tunnel.handshake import Handshake
    from socksify.tunnel.state import Tunnel

# In the order in which the handshakes began.
_pending: dict[Tunnel, None] = {}

# Those that pollers have to end in time, by how many seconds they may take.
_timed: dict[float, dict[Tunnel, None]] = {}
# Those among them that are to try another address of the proxy before, by how many seconds each may take.
_attempts: dict[float, dict[Tunnel, None]] = {}


def add(tunnel: Tunnel) -> None:
    """A handshake begins."""
    _pending[tunnel] = None


def discard(tunnel: Tunnel) -> None:
    """It is over, or nobody waits for it any more."""
    _pending.pop(tunnel, None)
    unattended.discard(tunnel)
    handshake = tunnel.handshake
    if _timed and handshake is not None:
        _timed.get(handshake.limit, {}).pop(tunnel, None)
        if _attempts:
            _attempts.get(handshake.share, {}).pop(tunnel, None)


def oldest() -> Tunnel | None:
    """The one that began first."""
    return _first(_pending)


def everyone() -> list[Tunnel]:
    """All of them."""
    return list(_pending)


def time(tunnel: Tunnel, handshake: Handshake) -> None:
    """From now on pollers see to it that a pending tunnel does not outlive its time: no connect() waits for it."""
    _timed.setdefault(handshake.limit, {})[tunnel] = None
    if tunnel.handshake is None:  # settled by another thread meanwhile
        _timed[handshake.limit].pop(tunnel, None)


def attempts(tunnel: Tunnel, handshake: Handshake) -> None:
    """And to its going on to the next address of its proxy, as long as there is one."""
    _attempts.setdefault(handshake.share, {})[tunnel] = None
    if tunnel.handshake is None:
        _attempts[handshake.share].pop(tunnel, None)


def attempted(tunnel: Tunnel, handshake: Handshake) -> None:
    """Another address is tried, or no other is to be."""
    waiting = _attempts.get(handshake.share, {})
    if waiting.pop(tunnel, tunnel) is None and handshake.candidates:
        waiting[tunnel] = None


def next_over() -> Tunnel | None:
    """The one whose time is over first, of those that pollers have to end."""
    firsts = [tunnel for tunnel in map(_first, [*_timed.values(), *_attempts.values()]) if tunnel is not None]
    if len(firsts) < 2:
        return firsts[0] if firsts else None
    return min(firsts, key=_deadline)


def _deadline(tunnel: Tunnel) -> float:
    handshake = tunnel.handshake
    return handshake.deadline if handshake is not None else 0.0


def _first(tunnels: dict[Tunnel, None]) -> Tunnel | None:
    while True:
        try:
            return next(iter(tunnels), None)
        except ours(RuntimeError):
            # Another thread, or the garbage collector in this one, has come between these two calls.
            continue
