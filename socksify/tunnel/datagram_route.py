"""Which way a datagram takes, or whatever else is no TCP: natively, or, as proxies are asked for TCP alone, not at all.

The rules are those of connections; where they say proxy, the setting `udp` says what becomes of it.
"""

from __future__ import annotations

import socket as _module
from socket import SO_TYPE, SOCK_STREAM, SOL_SOCKET

from socksify import _real
from socksify.interrupts import ours
from socksify.protocol.address import NAME
from socksify.tunnel import machine, names
from socksify.tunnel.route import Direct, Via
from socksify.tunnel.router import resolve
from socksify.tunnel.sockaddr import host_and_port, ip_family, numeric

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket as Socket
    from typing import Any

    from socksify.tunnel.route import Denied
    from socksify.tunnel.router import Router

# What a stream socket speaks by default, IPPROTO_TCP and IPPROTO_MPTCP, which falls back to TCP (RFC 8684).
TCP = (0, 6, 262)
# Not every system tells the protocol.
_PROTOCOL_OPTION: int | None = getattr(_module, "SO_PROTOCOL", None)


def is_tcp(sock: Socket) -> bool:
    """Whether an IP socket speaks TCP to the kernel, whatever fromfd() was told; nothing does that is closed."""
    try:
        if _real.getsockopt(sock, SOL_SOCKET, SO_TYPE) != SOCK_STREAM:
            return False
        if _PROTOCOL_OPTION is None:
            return _real.protocol(sock) in TCP
        # A Unix socket has no protocol; it may be the way to the proxy, in the place of the client's own.
        return _real.getsockopt(sock, SOL_SOCKET, _PROTOCOL_OPTION) in TCP
    except ours(OSError):
        return False


def decide(router: Router, family: int, address: object) -> Direct | Via | Denied:
    """The route of what a socket of `family` that does not speak TCP is to send to `address`.

    With udp="direct" it is never Via, and a name, or the made-up address that stands for one, is resolved here. Raises
    gaierror where it cannot be, and as Router.decide() does.
    """
    route = router.decide(family, address)
    if isinstance(route, Via) and router.settings.udp == "direct":
        target = route.target
        return Direct(
            route.rule, resolve(ip_family(family) or family, target.host, target.port) if target.type == NAME else None
        )
    return route


def stand_in(family: int, address: Any, route: Via | Denied) -> _real.SockAddress:
    """An address for connect(2) that means `address`, with the made-up literal in place of a name: nobody is asked."""
    host, port = host_and_port(family, address) or ("", 0)
    if numeric(host) is not None:
        return _real.SockAddress(address)
    if isinstance(route, Via):
        return _real.SockAddress(route.peer)
    here = machine.address_here(host, family)
    if here is not None:
        return _real.SockAddress((here, port))
    return _real.SockAddress((names.TABLE.address_of(host, family), port))
