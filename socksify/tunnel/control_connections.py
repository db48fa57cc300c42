"""Open connections to services that call back, as FTP's and rsh's do, and the thread that made each of them.

A listening socket on the wildcard does not say for whom it listens. Clients make the socket in the thread that has the
connection, and after the connection. Only such a listener is taken as the listener of that connection.
"""

from __future__ import annotations

from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.tunnel.state import Tunnel


class ControlConnections:
    """The connections whose peer may call back."""

    __slots__ = ("_services", "_threads")

    def __init__(self) -> None:
        # The ports of services that call back. None means that every peer may call back.
        self._services: frozenset[int] | None = frozenset()
        # The thread that began each connection, in the order in which they were begun.
        self._threads: dict[Tunnel, int] = {}

    def call_from(self, services: frozenset[int] | None) -> None:
        """Set the ports of the services that call back, None for all; connections to others are forgotten."""
        self._services = services
        for tunnel in list(self._threads):
            if services is not None and tunnel.route.target.port not in services:
                self.forget(tunnel)

    def note(self, tunnel: Tunnel) -> None:
        """Remember a connection that has begun, and its thread."""
        if self._services is None or tunnel.route.target.port in self._services:
            self._threads[tunnel] = get_ident()

    def forget(self, tunnel: Tunnel) -> None:
        """Forget a connection, because no socket holds it any more."""
        if self._threads:
            self._threads.pop(tunnel, None)

    def clear(self) -> None:
        """Forget all connections."""
        self._threads.clear()

    def are_there(self) -> bool:
        """Return True if there may be such connections. Every bind() and listen() calls this, so it is cheap."""
        return bool(self._threads)

    def in_this_thread(self) -> list[Tunnel]:
        """Return the open connections that this thread began, the latest last."""
        own = get_ident()
        return [tunnel for tunnel, thread in self._threads.copy().items() if thread == own and _lives(tunnel)]

    def anywhere(self) -> list[Tunnel]:
        """Return all open connections, the latest last."""
        return [tunnel for tunnel in list(self._threads) if _lives(tunnel)]


def _lives(tunnel: Tunnel) -> bool:
    return tunnel.is_open and tunnel.is_somewhere()
