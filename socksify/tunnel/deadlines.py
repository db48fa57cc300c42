"""The tunnels with a pending handshake, in the order of their deadlines.

Dicts keep the order of insertion: among handshakes with the same time limit the oldest ends first. Therefore no method
searches, however many handshakes are pending.
"""

from __future__ import annotations

from socksify._signal_safety import ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.tunnel.handshake import Handshake
    from socksify.tunnel.state import Tunnel


class Deadlines:
    """The pending tunnels, and the times by which pollers have to end them or to try another address."""

    __slots__ = ("_attempts", "_pending", "_timed")

    def __init__(self) -> None:
        # In the order in which the handshakes began.
        self._pending: dict[Tunnel, None] = {}
        # The tunnels that pollers have to end in time, by the seconds that the handshake may take.
        self._timed: dict[float, dict[Tunnel, None]] = {}
        # The tunnels that try another address of the proxy first, by the seconds that each attempt may take.
        self._attempts: dict[float, dict[Tunnel, None]] = {}

    def add(self, tunnel: Tunnel) -> None:
        """Add a tunnel whose handshake begins."""
        self._pending[tunnel] = None

    def discard(self, tunnel: Tunnel) -> None:
        """Remove a tunnel whose handshake is over, or is no longer awaited."""
        self._pending.pop(tunnel, None)
        handshake = tunnel.handshake
        if self._timed and handshake is not None:
            self._timed.get(handshake.limit, {}).pop(tunnel, None)
            if self._attempts:
                self._attempts.get(handshake.share, {}).pop(tunnel, None)

    def clear(self) -> None:
        """Forget all tunnels."""
        for tunnels in (self._pending, self._timed, self._attempts):
            tunnels.clear()

    def oldest(self) -> Tunnel | None:
        """Return the pending tunnel that began first."""
        return _first(self._pending)

    def everyone(self) -> list[Tunnel]:
        """Return all pending tunnels."""
        return list(self._pending)

    def limit(self, tunnel: Tunnel, handshake: Handshake) -> None:
        """Let pollers end a pending tunnel in time from now on, because no connect() waits for it.

        They also end the attempt of a single address in time, as long as the proxy has more addresses.
        """
        _insert(self._timed, handshake.limit, tunnel)
        if handshake.candidates:
            _insert(self._attempts, handshake.share, tunnel)

    def attempted(self, tunnel: Tunnel, handshake: Handshake) -> None:
        """Update a tunnel that tries another address now, or that has no more addresses to try."""
        waiting = self._attempts.get(handshake.share, {})
        if waiting.pop(tunnel, tunnel) is None and handshake.candidates:
            # The last in the order: its new attempt has just begun.
            waiting[tunnel] = None

    def next_over(self) -> Tunnel | None:
        """Return the tunnel with the earliest deadline among the tunnels that pollers have to end."""
        tables = [*self._timed.values(), *self._attempts.values()]
        firsts = [tunnel for tunnel in map(_first, tables) if tunnel is not None]
        if len(firsts) < 2:
            return firsts[0] if firsts else None
        return min(firsts, key=_deadline)


def _insert(tables: dict[float, dict[Tunnel, None]], seconds: float, tunnel: Tunnel) -> None:
    tunnels = tables.setdefault(seconds, {})
    tunnels[tunnel] = None
    if tunnel.handshake is None:  # settled by another thread meanwhile
        tunnels.pop(tunnel, None)


def _deadline(tunnel: Tunnel) -> float:
    handshake = tunnel.handshake
    return handshake.deadline if handshake is not None else 0.0


def _first(tunnels: dict[Tunnel, None]) -> Tunnel | None:
    while True:
        try:
            return next(iter(tunnels), None)
        except ours(RuntimeError):
            # Another thread, or the garbage collector, has changed the dict between these two calls.
            continue
