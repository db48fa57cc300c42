"""The work of the supervisor's process: it answers the tree by these settings, as the patches do in their process."""

from __future__ import annotations

from socksify.routing import fake_addresses, local_host, log
from socksify.seal.socket_pool import SocketPool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.config.settings import Settings
    from socksify.seal.listener import Listener


class Service:
    """The service for one tree. Raises OSError if the log cannot be opened."""

    def __init__(self, settings: Settings) -> None:
        log.open_log(settings.log)
        fake_addresses.TABLE.configure(settings.fake_networks)
        local_host.prime()
        self._settings = settings
        self._pool: SocketPool | None = None
        try:
            self._pool = SocketPool()
        except OSError as error:
            log.line(f"{log.name}: UDP sockets are bound to lo, for want of a network namespace: {error.strerror}")

    @property
    def is_pooled(self) -> bool:
        """True if the UDP sockets of the tree come from an empty network namespace."""
        return self._pool is not None

    def serve(self, listener: Listener) -> None:
        """Answer until nobody is left under the filter."""
        # The program begins meanwhile. Its calls wait.
        from socksify.seal.supervisor import Supervisor

        Supervisor(listener, self._settings).run()
        self.close()

    def close(self) -> None:
        """End the process that makes UDP sockets."""
        if self._pool is not None:
            self._pool.close()
