"""gevent.ssl: its C part reads and writes on the descriptor of a socket, and so bypasses our guarded methods."""

from __future__ import annotations

from wrapt import ObjectProxy

from socksify.patches.adapters import wrap
from socksify.patches.guards import pending

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from socksify.patches.journal import Journal


def patch(module: ModuleType, journal: Journal) -> None:
    """Wrap the method that makes the C part of a TLS socket. It may be called before the socket connects."""
    wrap(journal, module.SSLSocket, "_SSLSocket__create_sslobj", _create)


def _create(wrapped: Callable[..., Any], sock: Any, args: Any, kwargs: Any) -> Any:
    made = wrapped(*args, **kwargs)
    return made if sock._connected else _Connecting(made, sock)


class _Connecting(ObjectProxy):  # type: ignore[type-arg]
    """A proxy object for the C part of a TLS socket while the socket connects.

    The first call after the connection is there puts the C part back into the socket.
    """

    def __init__(self, part: Any, sock: Any) -> None:
        super().__init__(part)
        self._self_sock = sock

    def read(self, *args: Any) -> Any:
        return self._self_admitted().read(*args)

    def write(self, *args: Any) -> Any:
        return self._self_admitted().write(*args)

    def do_handshake(self) -> Any:
        return self._self_admitted().do_handshake()

    def _self_admitted(self) -> Any:
        try:
            pending.check_io(self._self_sock.fileno())
        except BlockingIOError:
            raise pending.wants_write() from None
        self._self_sock._sslobj = self.__wrapped__
        return self.__wrapped__
