"""Socket objects that are made from an fd, detached or closed. Each of these calls updates the registry of tunnels."""

from __future__ import annotations

import _socket
from socket import SO_DOMAIN, SO_PROTOCOL, SOCK_STREAM, SOL_SOCKET

from socksify import _originals
from socksify.patches import scope
from socksify.patches.guards import datagrams, pending
from socksify.patches.guards.datagrams import LINK
from socksify.patches.journal import Replacement
from socksify.tunnel import settlement
from socksify.tunnel.bind import listener
from socksify.tunnel.datagrams import kernel_type
from socksify.tunnel.handover import handover
from socksify.tunnel.registry import registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket as Socket

    from socksify.tunnel.state import Tunnel


def _init(self: Socket, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
    _originals.init(self, family, type, proto, fileno)
    _made(self, _originals.init, family, type, proto, fileno)


def _made(sock: Socket, init: Callable[..., None], family: int, type: int, proto: int, fileno: int | None) -> None:
    if fileno is not None or family == LINK:
        if fileno is not None and type != -1:
            # fromfd() may be given a wrong type. The kernel knows the right one.
            kind = kernel_type(sock)
            if kind not in (SOCK_STREAM, _originals.kind(sock)):
                init(sock, _originals.family(sock), kind, proto, fileno)
        datagrams.adopt(sock)
    if fileno is not None and (registry.by_fd or handover.is_shared()):
        tunnel = registry.add_copy(sock)
        if tunnel is None and handover.is_shared():
            tunnel = handover.look_up(sock, scope.current().settings)
        if tunnel is None:
            return
        domain = tunnel.options.get((SOL_SOCKET, SO_DOMAIN)) if family == -1 else None
        if domain is not None:
            # The kernel knows the family of the connection to the proxy, not that of the client's socket.
            init(sock, domain, type, tunnel.options[SOL_SOCKET, SO_PROTOCOL] if proto == -1 else proto, fileno)
        if tunnel.handshake is not None or tunnel.listener is not None:
            pending.guard_object(sock)


def _detach(self: Socket) -> int:
    _detaching(self)
    # The stdlib's method calls super(), which works for one class only.
    self._closed = True  # type: ignore[attr-defined]
    return _originals.detach(self)


def _detaching(sock: Socket) -> None:
    if registry.by_fd:
        registry.detach(sock)
        pending.unguard_object(sock)


def _real_close(self: Socket, _ss: type = _socket.socket) -> None:
    _closing(self)
    _originals.real_close(self, _ss)


def _closing(sock: Socket) -> None:
    fd = _originals.fileno(sock)
    tunnel = registry.closing(sock) if registry.by_fd else None
    if tunnel is not None:
        if len(tunnel.holders) == 1:
            _wake(tunnel)
        registry.drop(fd, tunnel)
        pending.unguard_object(sock)
    if fd in registry.epoll_masks.registrations:
        registry.epoll_masks.closed(fd)


def _wake(tunnel: Tunnel) -> None:
    """Wake threads that wait for the connect, or for a peer, of a socket that is being closed."""
    if tunnel.handshake is not None:
        settlement.cancel(tunnel)
    elif tunnel.listens:
        listener.end(tunnel)


# The same methods for a class that inherits them from `_socket.socket`.


def _init_plain(self: Socket, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
    _originals.init_plain(self, family, type, proto, fileno)
    _made(self, _originals.init_plain, family, type, proto, fileno)


def _detach_plain(self: Socket) -> int:
    _detaching(self)
    return _originals.detach(self)


def _close_plain(self: Socket) -> None:
    _closing(self)
    _originals.close(self)


PLAIN = (("__init__", _init_plain), ("detach", _detach_plain), ("close", _close_plain))
REPLACEMENTS = (
    Replacement(_originals.PythonSocket, "__init__", _init),
    Replacement(_originals.PythonSocket, "detach", _detach),
    Replacement(_originals.PythonSocket, "_real_close", _real_close),
)
