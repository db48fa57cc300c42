"""How socket objects come and go: made from an fd, detached, closed. The registry is told."""

from __future__ import annotations

import _socket
import socket as _module
from socket import SO_DOMAIN, SO_PROTOCOL, SOL_SOCKET

from socksify import _real
from socksify.patches import guarding, muting
from socksify.patches.journal import Replacement
from socksify.patches.muting import LINK
from socksify.tunnel import dial, registry, rendezvous, watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket as Socket

    from socksify.tunnel.tunnel import Tunnel


def _init(self: Socket, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
    _real.init(self, family, type, proto, fileno)
    if fileno is not None or family == LINK:
        muting.adopt(self)
    if fileno is not None and registry.by_fd:
        tunnel = registry.adopt(self)
        if tunnel is None:
            return
        domain = tunnel.options.get((SOL_SOCKET, SO_DOMAIN)) if family == -1 else None
        if domain is not None:
            # The kernel knows the family of the way to the proxy, which is not the client's.
            _real.init(self, domain, type, tunnel.options[SOL_SOCKET, SO_PROTOCOL] if proto == -1 else proto, fileno)
        if tunnel.handshake is not None or tunnel.rendezvous is not None:
            guarding.guard_object(self)


def _detach(self: Socket) -> int:
    if registry.by_fd:
        registry.detach(self)
        guarding.unguard_object(self)
    fd: int = _real.detach(self)
    return fd


def _real_close(self: Socket, _ss: type = _socket.socket) -> None:
    fd = _real.fileno(self)
    tunnel = registry.find(self) if registry.by_fd else None
    if tunnel is not None:
        if len(tunnel.holders) == 1:
            _wake(tunnel)
        registry.drop(fd, tunnel)
        guarding.unguard_object(self)
    if fd in watch.registrations:
        watch.closed(fd)
    _real.real_close(self, _ss)


def _wake(tunnel: Tunnel) -> None:
    """Whoever waits for a connect or for a peer is not left behind on a socket that is closed."""
    if tunnel.handshake is not None:
        dial.cancel(tunnel)
    elif tunnel.listens:
        rendezvous.end(tunnel)


REPLACEMENTS = (
    Replacement(_module.socket, "__init__", _init),
    Replacement(_module.socket, "detach", _detach),
    Replacement(_module.socket, "_real_close", _real_close),
)
