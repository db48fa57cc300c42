"""The work of the supervisor's process: it answers the tree by these settings, as the patches do in their process."""

from __future__ import annotations

from socksify.routing import fake_addresses, local_host, log
from socksify.seal.datagrams.socket_pool import SocketPool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.config.settings import Settings
    from socksify.seal.kernel.listener import Listener


class Service:
    """The service for one tree. Raises OSError if the log cannot be opened."""

    def __init__(self, settings: Settings) -> None:
        log.open_log(settings.log)
        fake_addresses.TABLE.configure(settings.fake_networks)
        local_host.prime()
        self._settings = settings
        # With udp=direct the sockets are those of the user's own network.
        self._pool = None if settings.udp == "direct" else _pool()

    @property
    def is_pooled(self) -> bool:
        """True if the UDP sockets of the tree come from an empty network namespace."""
        return self._pool is not None

    def serve(self, listener: Listener) -> None:
        """Answer until nobody is left under the filter."""
        # The program begins meanwhile. Its calls wait.
        from socksify.seal.supervisor import Supervisor

        Supervisor(listener, self._settings, self._pool).run()
        self.close()

    def close(self) -> None:
        """End the process that makes UDP sockets."""
        if self._pool is not None:
            self._pool.close()


def _pool() -> SocketPool | None:
    """Return a pool of UDP sockets, or None where there can be no network namespace for it."""
    try:
        return SocketPool()
    except OSError as error:
        log.line(f"{log.name}: UDP sockets are bound to lo, for want of a network namespace: {error.strerror}")
        return None
