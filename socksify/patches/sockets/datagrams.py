"""sendto(), sendmsg() and connect() of datagrams, and of every other protocol but TCP. No proxy carries them.

Data for a routed destination is refused, and a name in its address is not even looked up. connect(2) of a datagram
socket sends nothing. It is allowed, because programs use it to find their own address; `guards.datagrams` refuses the
sends that follow.
"""

from __future__ import annotations

import socket as _module
from operator import index
from socket import AF_UNIX, SOCK_DGRAM

from socksify import _originals
from socksify.patches import scope
from socksify.patches.guards import datagrams
from socksify.patches.guards.datagrams import CONNECTIONLESS, LINK, NOWHERE
from socksify.patches.journal import Replacement
from socksify.patches.sockets import source_routes
from socksify.routing.route import Direct
from socksify.routing.sockaddr import ip_family
from socksify.tunnel import datagrams as tunnel_datagrams
from socksify.tunnel.apparent_peers import apparent_peers
from socksify.tunnel.datagrams import is_tcp
from socksify.tunnel.handover import handover
from socksify.tunnel.registry import registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket as Socket
    from typing import Any

# Only Linux has this flag.
_FAST_OPEN = int(getattr(_module, "MSG_FASTOPEN", 0))


def connect(sock: Socket, address: Any) -> None:
    """Do as connect() does, for a socket that does not speak TCP."""
    family = _originals.family(sock)
    here = scope.current()
    route = tunnel_datagrams.decide(here.router, family, address)
    if isinstance(route, Direct):
        if _originals.kind(sock) != SOCK_DGRAM:
            source_routes.admit_connect(sock)
        here.claim(sock)
        _originals.connect(sock, _direct(route, address))
        datagrams.release(sock)
    elif _originals.kind(sock) in CONNECTIONLESS:
        datagrams.connect(sock, tunnel_datagrams.connectable_address(family, address, route))
    else:
        tunnel_datagrams.refuse(sock, route, address)


def _sendto(self: Socket, /, *args: Any) -> int:
    # sendto(data[, flags], address)
    if not 2 <= len(args) <= 3:
        return _originals.sendto(self, *args)
    data, flags, address = args if len(args) == 3 else (args[0], 0, args[1])
    flags = _number(flags)

    def check() -> object:
        return _originals.sendto(NOWHERE, data, flags, ())

    if _connects(self, flags, address):
        _connect_first(self, address, check)
        return _originals.send(self, data, flags & ~_FAST_OPEN)
    to = _admitted(self, address, check)
    if _originals.kind(self) != SOCK_DGRAM:
        packet = source_routes.admit_packet(self, [data], address)
        data = data if packet is None else packet
    return _originals.sendto(self, data, flags, to)


def _sendmsg(self: Socket, /, *args: Any) -> int:
    # sendmsg(buffers[, ancdata[, flags[, address]]])
    if len(args) > 1 and args[1]:
        args = (args[0], source_routes.admit_ancillary(args[1]), *args[2:])
        if registry.by_fd and _originals.family(self) == AF_UNIX:
            # The message may contain descriptors (SCM_RIGHTS).
            handover.publish()
    if len(args) != 4 or args[3] is None:
        # Another object may have connected this socket. Then it is bound to loopback, and IP_PKTINFO would undo this.
        if apparent_peers.known and datagrams.guard_late(self):
            return self.sendmsg(*args)
        return _originals.sendmsg(self, *args)
    buffers, ancdata, flags, address = args
    flags = _number(flags)

    def check() -> object:
        return _originals.sendmsg(NOWHERE, buffers, ancdata, flags)

    if _connects(self, flags, address):
        _connect_first(self, address, check)
        return _originals.sendmsg(self, buffers, ancdata, flags & ~_FAST_OPEN)
    to = _admitted(self, address, check)
    if _originals.kind(self) != SOCK_DGRAM:
        buffers = list(buffers)
        packet = source_routes.admit_packet(self, buffers, address)
        buffers = buffers if packet is None else [packet]
    return _originals.sendmsg(self, buffers, ancdata, flags, to)


def _number(flags: Any) -> Any:
    """Return flags as the stdlib reads them: numpy's integers are accepted. The stdlib refuses other types."""
    return index(flags) if hasattr(flags, "__index__") else flags


def _connects(sock: Socket, flags: Any, address: Any) -> bool:
    """Return True if sending connects first (MSG_FASTOPEN, tcp(7)) and the route is not direct."""
    if not isinstance(flags, int) or not flags & _FAST_OPEN or not is_tcp(sock):
        return False
    return not isinstance(scope.current().router.decide(_originals.family(sock), address), Direct)


def _connect_first(sock: Socket, address: Any, check: Callable[[], object]) -> None:
    """Connect through the proxy. On a non-blocking socket this raises EINPROGRESS, and no data was sent."""
    datagrams.check(sock, check)
    _originals.PythonSocket.connect(sock, address)


def _admitted(sock: Socket, address: Any, check: Callable[[], object]) -> Any:
    """Return the address to give to the kernel, or refuse to send there.

    `check()` raises what the stdlib raises about the other arguments. It is called before a refusal.
    """
    family = _originals.family(sock)
    if family == LINK:
        datagrams.admit_frame(address, check)
    if not ip_family(family):
        return address
    route = tunnel_datagrams.decide(scope.current().router, family, address)
    if isinstance(route, Direct):
        return _direct(route, address)
    if not is_tcp(sock):
        datagrams.check(sock, check)
        tunnel_datagrams.refuse(sock, route, address)
    # On a connected TCP socket the kernel ignores the address, so a name is not looked up.
    return tunnel_datagrams.connectable_address(family, address, route)


def _direct(route: Direct, address: Any) -> Any:
    """Return the address to give to the kernel. The audit hook of strict knows our own addresses by their type."""
    return address if route.address is None else _originals.InternalAddress(route.address)


REPLACEMENTS = (
    Replacement(_originals.PythonSocket, "sendto", _sendto),
    Replacement(_originals.PythonSocket, "sendmsg", _sendmsg),
)
