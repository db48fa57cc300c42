"""The routes of the datagrams that a sealed tree sends. No proxy carries them."""

from __future__ import annotations

import sys
from socket import AF_INET, AF_INET6, AF_UNSPEC

from socksify.routing import fake_addresses, log
from socksify.routing.route import Blocked, Direct, Via
from socksify.routing.sockaddr import numeric
from socksify.seal.kernel import raw_sockaddr
from socksify.tunnel import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from socksify.routing.router import Router
    from socksify.seal.notices import Notices

DOMAIN = 53
_LINK_LOCAL = ("fe8", "fe9", "fea", "feb")
# The loopback interface is the first one of every namespace.
_LOOPBACK_INDEX = 1
# ip(7), ipv6(7): to send to "any address" is to send to loopback.
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def destination(raw: bytes) -> tuple[str, int] | None:
    """Return the host and the port of a datagram's address, as the address lies in memory; None for other families.

    The host is a literal. A mapped address is unmapped. Raises OSError (EINVAL) for an address that is too short.
    """
    family = raw_sockaddr.family(raw)
    if family == AF_UNSPEC:
        # The kernel sends to such an address as to one of IPv4.
        family, raw = AF_INET, AF_INET.to_bytes(2, sys.byteorder) + raw[2:]
    if family not in (AF_INET, AF_INET6):
        return None
    host, port, *_ = raw_sockaddr.parse(raw, family)
    literal = numeric(host) or host
    return _LOOPBACK.get(literal, literal), port


def through_loopback(raw: bytes) -> bytes | None:
    """Return a link-local address with the loopback interface in place of its own interface; None for other addresses.

    RFC 4007 section 6: the interface is a part of such an address. The namespace of a pool has the loopback alone.
    """
    if raw_sockaddr.family(raw) != AF_INET6:
        return None
    host, port, flow, scope = raw_sockaddr.parse(raw, AF_INET6)
    if not host.startswith(_LINK_LOCAL) or scope in (0, _LOOPBACK_INDEX):
        return None
    return raw_sockaddr.pack(AF_INET6, (host, port, flow, _LOOPBACK_INDEX))


class DatagramRoutes:
    """Decides where the datagrams of a tree go."""

    def __init__(self, router_of: Callable[[int, int | None], Router], notices: Notices) -> None:
        """`router_of` gives the Router for a thread, and for an inode if that is known."""
        self.router_of = router_of
        self._notices = notices

    def decide(self, thread: int, inode: int | None, to: tuple[str, int]) -> Direct | Via | Blocked:
        """Return the route of a datagram to a `destination`. If it is Via, the datagram cannot take it."""
        if fake_addresses.TABLE.is_fake(to[0]):
            # The router might look up the name, for which the caller cannot wait.
            return Blocked(f"{to[0]} stands for a name of the proxy, which is asked for TCP alone")
        return self.router_of(thread, inode).decide(AF_INET6 if ":" in to[0] else AF_INET, to)

    def refuse(self, route: Via | Blocked, to: tuple[str, int]) -> NoReturn:
        """Refuse a datagram, and tell the user why. Raises OSError (EACCES)."""
        why = errors.why_tcp_alone(route) if isinstance(route, Via) else route.why
        log.denied(to, why, "UDP")
        refused = errors.not_sent("UDP", log.host_port(*to), why)
        self._notices.tell(str(refused.strerror))
        raise refused
