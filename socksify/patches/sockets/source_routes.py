"""Source routes: options, ancillary data and headers that send a packet to other hosts than its destination address.

The rules judge the destination address alone. A source route (RFC 791 section 3.1; RFC 8200 section 4.4) sends the
packet to more hosts before or after that address. An IPsec policy puts the packet into a tunnel. An IP header that the
client writes may contain any address. All of these are refused, unless everything is direct. For datagrams they are
allowed with udp="direct".

Other options do not change the destination. IP_PKTINFO and IPV6_PKTINFO choose the interface and the source of a
datagram. Hop-by-hop and destination options travel with the datagram to the same address. IP_TRANSPARENT and
IP_FREEBIND allow more source addresses.
"""

from __future__ import annotations

from _socket import inet_ntop
from operator import index
from socket import AF_INET, AF_INET6, SOCK_RAW
from struct import pack

from socksify import _originals
from socksify._signal_safety import ours
from socksify.patches import scope
from socksify.routing.route import Direct
from socksify.tunnel import datagrams
from socksify.tunnel.apparent_peers import apparent_peers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket as Socket
    from typing import Any

IP, IPV6 = 0, 41

# The numbers of Linux. Not every Python has names for them.
_IP_OPTIONS, _IP_RETOPTS = 4, 7
_ROUTING = {
    (IP, 16): "IP_IPSEC_POLICY",
    (IP, 17): "IP_XFRM_POLICY",
    (IPV6, 6): "IPV6_2292PKTOPTIONS",
    (IPV6, 9): "IPV6_NEXTHOP",
    (IPV6, 34): "IPV6_IPSEC_POLICY",
    (IPV6, 35): "IPV6_XFRM_POLICY",
    (IPV6, 57): "IPV6_RTHDR",
}
# IPV6_2292RTHDR is a header as ancillary data. As a socket option it is a switch, so it is missing above.
_ROUTING_DATA = {(IPV6, 5): "IPV6_2292RTHDR", (IPV6, 9): "IPV6_NEXTHOP", (IPV6, 57): "IPV6_RTHDR"}
# With these options the client writes the IP header itself.
_HEADERS = frozenset({(IP, 3), (IPV6, 36)})

# Types of IPv4 options: end, no operation, loose and strict source route.
_END, _NO_OPERATION = 0, 1
_SOURCE_ROUTES = (131, 137)
# Next headers (RFC 8200): extensions whose length is in units of 8 bytes; the routing header; the fragment header of 8
# bytes.
_EXTENSIONS, _ROUTING_HEADER, _FRAGMENT = (0, 60, 135, 139, 140), 43, 44
_IPV4_HEADER, _IPV6_HEADER = 20, 40


def admit_option(sock: Socket, level: int, name: int, value: Any) -> None:
    """Refuse a socket option that changes the destination. On a socket with a peer, refuse own IP headers, too."""
    if (level, name) in _HEADERS:
        if value and _is_raw(sock) and _has_peer(sock) and _forbids(sock):
            datagrams.refuse_source_route("an IP header of one's own on a connected socket")
        return
    try:
        found = _of_option(level, name, value)
    except ours(TypeError, ValueError, OverflowError):  # the stdlib refuses it
        return
    if found is not None and _forbids(sock):
        datagrams.refuse_source_route(f"socket option {found}")


def admit_ancillary(items: Any) -> Any:
    """Refuse ancillary data that changes the destination. Return a copy to send: an iterator can be read only once."""
    try:
        known = [tuple(item) for item in items]
        known = [(level, kind, bytes(memoryview(data))) for level, kind, data in known]
        found = _of_ancillary(known)
    except ours(TypeError, ValueError):
        # The stdlib reports the error.
        return items
    if found is not None and scope.current().router.routes:
        datagrams.refuse_source_route(f"ancillary data {found}")
    return known


def admit_connect(sock: Socket) -> None:
    """Refuse to connect a socket whose client writes the headers: send() and write(2) have no address to judge."""
    if _writes_headers(sock) and _forbids(sock):
        datagrams.refuse_source_route("connect() of a socket with IP headers of one's own (sendto() is judged)")


def admit_packet(sock: Socket, buffers: list[Any], address: Any) -> Any:
    """Return the packet that a socket sends to a direct address; None if the socket writes no headers itself.

    `buffers` hold the packet. A header that sends the packet to another host is refused. The result is a copy, so no
    other thread can change it after the check.
    """
    if not _writes_headers(sock) or not _forbids(sock):
        return None
    packet = b"".join([bytes(memoryview(buffer)) for buffer in buffers])
    family = AF_INET6 if _originals.family(sock) == AF_INET6 else AF_INET
    destination, why = _of_header(packet, family)
    if why is not None:
        datagrams.refuse_source_route(f"an IP header with {why}")
    if destination is not None:
        there = (destination, *address[1:2])
        route = datagrams.decide(scope.current().router, family, there)
        if not isinstance(route, Direct):
            datagrams.refuse(sock, route, there)
    return packet


def _forbids(sock: Socket) -> bool:
    router = scope.current().router
    return router.routes and (router.settings.udp != "direct" or datagrams.is_tcp(sock))


def _is_raw(sock: Socket) -> bool:
    """Return True if the kernel knows a socket as a raw socket."""
    try:
        return datagrams.kernel_type(sock) == SOCK_RAW
    except ours(OSError):
        return False


def _writes_headers(sock: Socket) -> bool:
    return _is_raw(sock) and any(_is_set(sock, level, name) for level, name in _HEADERS)


def _is_set(sock: Socket, level: int, name: int) -> bool:
    try:
        return bool(_originals.getsockopt(sock, level, name))
    except ours(OSError):
        return False


def _has_peer(sock: Socket) -> bool:
    if apparent_peers.find(sock) is not None:
        return True
    try:
        _originals.getpeername(sock)
    except ours(OSError):
        return False
    return True


def _of_option(level: int, name: int, value: Any) -> str | None:
    """Return the name of a socket option that changes the destination; None for any other option."""
    if (level, name) == (IP, _IP_OPTIONS):
        return "IP_OPTIONS with a source route" if _has_source_route(_data(value)) else None
    found = _ROUTING.get((level, name))
    return found if found is not None and _data(value) else None


def _of_ancillary(items: list[Any]) -> str | None:
    """Return the name of an item (level, type, data) that changes the destination; None if there is no such item."""
    for level, kind, data in items:
        if (level, kind) == (IP, _IP_RETOPTS):
            if _has_source_route(_data(data)):
                return "IP_RETOPTS with a source route"
        elif (level, kind) in _ROUTING_DATA:
            return _ROUTING_DATA[level, kind]
    return None


def _of_header(packet: bytes, family: int) -> tuple[str | None, str | None]:
    """Return the destination in the IP header of a packet, and the name of a source route in the header.

    Each of the two is None if the packet does not have it.
    """
    if family == AF_INET6:
        if len(packet) < _IPV6_HEADER:
            return None, None
        why = "a routing header" if _has_routing_header(packet) else None
        return inet_ntop(AF_INET6, packet[24:40]), why
    if len(packet) < _IPV4_HEADER:
        return None, None
    why = "a source route" if _has_source_route(packet[_IPV4_HEADER : (packet[0] & 15) * 4]) else None
    return inet_ntop(AF_INET, packet[16:20]), why


def _has_source_route(options: bytes) -> bool:
    """Return True if the options of an IPv4 header contain a source route (RFC 791)."""
    position = 0
    while position < len(options) and options[position] != _END:
        kind = options[position]
        if kind in _SOURCE_ROUTES:
            return True
        if kind == _NO_OPERATION:
            position += 1
            continue
        # The kernel refuses an option that is shorter than its type and length.
        position += max(2, options[position + 1]) if position + 1 < len(options) else 1
    return False


def _has_routing_header(packet: bytes) -> bool:
    following, position = packet[6], _IPV6_HEADER
    while position + 2 <= len(packet) and (following in _EXTENSIONS or following == _FRAGMENT):
        size = 8 if following == _FRAGMENT else (packet[position + 1] + 1) * 8
        following, position = packet[position], position + size
    return following == _ROUTING_HEADER


def _data(value: Any) -> bytes:
    """Return the bytes of an option's value as the kernel gets them. An int becomes an int of C."""
    if value is None:
        return b""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    try:
        return pack("@i", index(value))
    except TypeError:  # another buffer
        return bytes(memoryview(value))
