"""Relays between the end of a connection that was opened through a full listener, and the tunnel.

The relays are those of the server: small pieces are copied on the supervisor's loop, and bulk is spliced by a thread of
its own, so that it never holds up a connect(2).
"""

from __future__ import annotations

from socksify.server.session.bulk_thread import BulkLoop
from socksify.server.session.relay import Relay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from socksify import _originals
    from socksify.server.core.loop import Loop


class Relays:
    """The relays of one supervisor."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._bulk: BulkLoop | None = None
        self._running: set[_Owner] = set()

    def start(self, near: _originals.Socket, far: _originals.Socket, ended: Callable[[], object]) -> None:
        """Relay between two sockets of the loop. `ended` is called once, at the end."""
        owner = _Owner(self, near, far, ended)
        self._running.add(owner)
        owner.relay.start()

    def bulk_loop(self) -> BulkLoop | None:
        """Return the loop of the bulk thread; None if there is no descriptor or no thread left for it."""
        if self._bulk is None:
            try:
                self._bulk = BulkLoop(self._loop)
            except (OSError, RuntimeError):
                return None
        return self._bulk

    def end(self, owner: _Owner, near: _originals.Socket) -> None:
        """Close the two sockets of a relay that has ended."""
        self._running.discard(owner)
        owner.relay.close()
        self._loop.discard(near)

    def close(self) -> None:
        """End all relays, and the bulk thread."""
        for owner in tuple(self._running):
            owner.relayed(None)
        if self._bulk is not None:
            self._bulk.end()


class _Owner:
    """The owner of one relay, as the relay expects it."""

    def __init__(
        self, relays: Relays, near: _originals.Socket, far: _originals.Socket, ended: Callable[[], object]
    ) -> None:
        self._relays, self._near, self._ended = relays, near, ended
        self.over = False
        self.bulk_loop = relays.bulk_loop
        self.relay = Relay(relays._loop, near, far, b"", self)

    def relayed(self, _error: OSError | None) -> None:
        """Take note that the relay has ended."""
        if not self.over:
            self.over = True
            self._relays.end(self, self._near)
            self._ended()
