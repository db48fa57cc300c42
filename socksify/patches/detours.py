"""Refuses what leads a packet past the address that the rules have judged; source_routes.py tells what does.

Nothing of it is refused where everything is direct, and for datagrams where udp="direct" lets them out.
"""

from __future__ import annotations

from socket import AF_INET, AF_INET6, SO_TYPE, SOCK_RAW, SOL_SOCKET

from socksify import _real
from socksify.interrupts import ours
from socksify.patches import scope
from socksify.tunnel import datagram_route, fence, refusal, source_routes
from socksify.tunnel.route import Direct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket as Socket
    from typing import Any


def admit_option(sock: Socket, level: int, name: int, value: Any) -> None:
    """Refuse an option of IP that leads elsewhere, and a header of the client's own on a socket that has a peer."""
    if (level, name) in source_routes.HEADERS:
        if value and is_raw(sock) and _has_peer(sock) and _forbids(sock):
            refusal.refuse_detour("an IP header of one's own on a connected socket")
        return
    try:
        found = source_routes.of_option(level, name, value)
    except ours(TypeError, ValueError, OverflowError):  # which the stdlib refuses
        return
    if found is not None and _forbids(sock):
        refusal.refuse_detour(f"socket option {found}")


def admit_ancillary(items: Any) -> Any:
    """The ancillary data of a message as it is to be sent; an iterator can be gone through only once."""
    try:
        known = [tuple(item) for item in items]
        known = [(level, kind, bytes(memoryview(data))) for level, kind, data in known]
        found = source_routes.of_ancillary(known)
    except ours(TypeError, ValueError):
        # As before, so that the stdlib says what is wrong with it.
        return items
    if found is not None and scope.current().router.routes:
        refusal.refuse_detour(f"ancillary data {found}")
    return known


def admit_connect(sock: Socket) -> None:
    """Refuse to connect a socket whose client writes the headers: send() and write(2) have no address to judge."""
    if _writes_headers(sock) and _forbids(sock):
        refusal.refuse_detour("connect() of a socket with IP headers of one's own (sendto() is judged)")


def admit_packet(sock: Socket, buffers: list[Any], address: Any) -> Any:
    """The packet whose header may be sent to an address, which is direct; None for a socket that writes none.

    It is a copy, so that nobody can change it any more.
    """
    if not _writes_headers(sock) or not _forbids(sock):
        return None
    packet = b"".join([bytes(memoryview(buffer)) for buffer in buffers])
    family = AF_INET6 if _real.family(sock) == AF_INET6 else AF_INET
    destination, why = source_routes.of_header(packet, family)
    if why is not None:
        refusal.refuse_detour(f"an IP header with {why}")
    if destination is not None:
        there = (destination, *address[1:2])
        route = datagram_route.decide(scope.current().router, family, there)
        if not isinstance(route, Direct):
            refusal.refuse(sock, route, there)
    return packet


def _forbids(sock: Socket) -> bool:
    router = scope.current().router
    return router.routes and (router.settings.udp != "direct" or datagram_route.is_tcp(sock))


def is_raw(sock: Socket) -> bool:
    """Whether a socket is a raw one to the kernel."""
    try:
        return _real.getsockopt(sock, SOL_SOCKET, SO_TYPE) == SOCK_RAW
    except ours(OSError):
        return False


def _writes_headers(sock: Socket) -> bool:
    return is_raw(sock) and any(_is_set(sock, level, name) for level, name in source_routes.HEADERS)


def _is_set(sock: Socket, level: int, name: int) -> bool:
    try:
        return bool(_real.getsockopt(sock, level, name))
    except ours(OSError):
        return False


def _has_peer(sock: Socket) -> bool:
    if fence.find(sock) is not None:
        return True
    try:
        _real.getpeername(sock)
    except ours(OSError):
        return False
    return True
