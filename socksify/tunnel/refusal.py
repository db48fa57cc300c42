"""What becomes of a datagram that a proxy should get, or of anything else that is no TCP: it is refused."""

from __future__ import annotations

from socket import SOCK_DGRAM

from socksify import _real
from socksify.tunnel import errors, log
from socksify.tunnel.route import Via

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket as Socket
    from typing import Any, NoReturn

    from socksify.tunnel.route import Denied

_PROTOCOLS = {1: "ICMP", 17: "UDP", 33: "DCCP", 58: "ICMPv6", 132: "SCTP", 136: "UDP-Lite"}

_OPTION = 'udp="direct" (--udp direct)'


def refuse(sock: Socket, route: Via | Denied, address: Any) -> NoReturn:
    """The one place where what should go through a proxy ends, until one is asked to take it (RFC 1928 section 7)."""
    host, port = (route.target.host, route.target.port) if isinstance(route, Via) else address[:2]
    what, why = _kind(sock), _why(route)
    log.denied((host, port), why, what)
    raise errors.not_sent(what, log.host_port(str(host), port), why)


def refuse_frame(interface: str) -> NoReturn:
    """Refuse what is written to an interface: of where it goes from there the rules know nothing."""
    why = f"what is written to an interface goes past every rule; {_OPTION} allows it"
    log.line(f"{log.name}: frame {interface} denied: {why}")
    raise errors.not_sent("frame", interface, why)


def refuse_detour(what: str) -> NoReturn:
    """Refuse an option, ancillary data or a header that leads past the address that the rules have judged."""
    why = "it leads a packet past the rules, which judge the address that it is sent to"
    log.line(f"{log.name}: {what} denied: {why}")
    raise errors.not_applied(what, why)


def _kind(sock: Socket) -> str:
    number = _real.protocol(sock)
    return _PROTOCOLS.get(number) or ("UDP" if _real.kind(sock) == SOCK_DGRAM else f"IP protocol {number}")


def _why(route: Via | Denied) -> str:
    if not isinstance(route, Via):
        return route.why
    rule, proxy = f"rule {route.rule.text!r} ({route.rule.source})", route.chain[-1].url
    return f"{rule} leaves it to proxy {proxy}, which is asked for TCP alone; {_OPTION} or a direct rule allows it"
