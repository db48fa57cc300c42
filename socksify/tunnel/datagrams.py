"""Datagrams, and every other protocol but TCP: their routes, and their refusal.

Proxies carry only TCP connections. Therefore a datagram goes directly, or it does not leave this machine. The rules for
connections apply. If they lead through a proxy, the setting `udp` decides.
"""

from __future__ import annotations

import socket as _module
from socket import SO_TYPE, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET

from socksify import _originals
from socksify._signal_safety import ours
from socksify.protocol.address import NAME
from socksify.routing import fake_addresses, local_host, log
from socksify.routing.route import Direct, Via
from socksify.routing.router import resolve
from socksify.routing.sockaddr import host_and_port, ip_family, numeric
from socksify.tunnel import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket as Socket
    from typing import Any, NoReturn

    from socksify.routing.route import Blocked
    from socksify.routing.router import Router

# The default protocol of a stream socket, IPPROTO_TCP, and IPPROTO_MPTCP, which falls back to TCP (RFC 8684).
TCP = (0, 6, 262)
# Not every system has the option.
_PROTOCOL_OPTION: int | None = getattr(_module, "SO_PROTOCOL", None)


def kernel_type(sock: Socket) -> int:
    """Return the kernel's type of a socket. fromfd() may have got a wrong type. Raises OSError for a closed socket."""
    return int(_originals.getsockopt(sock, SOL_SOCKET, SO_TYPE))


_PROTOCOLS = {1: "ICMP", 17: "UDP", 33: "DCCP", 58: "ICMPv6", 132: "SCTP", 136: "UDP-Lite"}


def is_tcp(sock: Socket) -> bool:
    """Return True if an IP socket speaks TCP according to the kernel; False for a closed socket.

    The arguments of fromfd() may be wrong, so they are not used.
    """
    try:
        if kernel_type(sock) != SOCK_STREAM:
            return False
        if _PROTOCOL_OPTION is None:
            return _originals.protocol(sock) in TCP
        # A Unix socket has no protocol. It may be the connection to the proxy, in place of the client's TCP socket.
        return _originals.getsockopt(sock, SOL_SOCKET, _PROTOCOL_OPTION) in TCP
    except ours(OSError):
        return False


def decide(router: Router, family: int, address: object) -> Direct | Via | Blocked:
    """Return the route of a datagram that a socket of `family` is to send to `address`.

    With udp="direct" the route is never Via. A name, or the fake address that stands for a name, is then resolved here.
    Raises gaierror if it cannot be resolved, and what Router.decide() raises.
    """
    route = router.decide(family, address)
    if isinstance(route, Via) and router.settings.udp == "direct":
        target = route.target
        return Direct(
            route.rule, resolve(ip_family(family) or family, target.host, target.port) if target.type == NAME else None
        )
    return route


def connectable_address(family: int, address: Any, route: Via | Blocked) -> _originals.InternalAddress:
    """Return an address for connect(2) that means `address`. A name becomes a fake address, so it is not looked up."""
    host, port = host_and_port(family, address) or ("", 0)
    if numeric(host) is not None:
        return _originals.InternalAddress(address)
    if isinstance(route, Via):
        return _originals.InternalAddress(route.peer)
    here = local_host.address_here(host, family)
    if here is not None:
        return _originals.InternalAddress((here, port))
    return _originals.InternalAddress((fake_addresses.TABLE.address_of(host, family), port))


def refuse(sock: Socket, route: Via | Blocked, address: Any) -> NoReturn:
    """Refuse a datagram that should go through a proxy, because UDP ASSOCIATE (RFC 1928 section 7) is not used."""
    host, port = (route.target.host, route.target.port) if isinstance(route, Via) else address[:2]
    what, why = _kind(sock), _why(route)
    log.denied((host, port), why, what)
    raise errors.not_sent(what, log.host_port(str(host), port), why)


def refuse_frame(interface: str) -> NoReturn:
    """Refuse a frame that is written to an interface, because the rules do not know its destination."""
    why = f"what is written to an interface goes past every rule; {errors.ALLOW_UDP} allows it"
    log.line(f"{log.name}: frame {interface} denied: {why}")
    raise errors.not_sent("frame", interface, why)


def refuse_source_route(what: str) -> NoReturn:
    """Refuse an option, ancillary data or a header that sends a packet to an address that the rules have not judged."""
    why = "it leads a packet past the rules, which judge the address that it is sent to"
    log.line(f"{log.name}: {what} denied: {why}")
    raise errors.not_applied(what, why)


def _kind(sock: Socket) -> str:
    number = _originals.protocol(sock)
    return _PROTOCOLS.get(number) or ("UDP" if _originals.kind(sock) == SOCK_DGRAM else f"IP protocol {number}")


def _why(route: Via | Blocked) -> str:
    return errors.why_tcp_alone(route) if isinstance(route, Via) else route.why
