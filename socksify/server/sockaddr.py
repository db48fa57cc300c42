"""Literals, and the addresses that bind(2), connect(2) and sendto(2) are given and accept(2) and recvfrom(2) tell.

One that is link-local is of an interface, which CPython has as a number beside the literal. In a literal of ours it is
the zone, `fe80::1%2` (RFC 4007 section 11); in a pair CPython would take that for valid and pass on none.
"""

from __future__ import annotations

from socket import if_nametoindex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def sockaddr(host: str, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
    """What a literal is given as. Raises OSError for an interface that there is not."""
    literal, scoped, zone = host.partition("%")
    if not scoped:
        return host, port
    return literal, port, 0, int(zone) if zone.isascii() and zone.isdecimal() else if_nametoindex(zone)


def spelled(address: tuple[Any, ...]) -> str:
    """The literal of what was told."""
    host: str = address[0]
    return f"{host}%{address[3]}" if len(address) == 4 and address[3] else host
