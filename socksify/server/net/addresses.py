"""Literals, and the addresses that bind(2), connect(2) and sendto(2) are given and accept(2) and recvfrom(2) tell.

One that is link-local is of an interface, which CPython has as a number beside the literal. In a literal of ours it is
the zone, `fe80::1%2` (RFC 4007 section 11); in a pair CPython would take that for valid and pass on none.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from socket import if_nametoindex

from socksify import _originals

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


# Which address and port of our own a connection, or what is listened on, has.


# Only root can have a port below 1024, which is what rshd and rlogind believe in; rcmd(3) takes one from 512 on. The
# original kept to that: what came from such a port went out from such a port.
RESERVED = range(512, 1024)


# ip(7), IP_BIND_ADDRESS_NO_PORT: a port is chosen at connect() only, and has to differ for that one destination alone.
_BIND_ADDRESS_NO_PORT = 24
_DISCARD = 9


def bind(stream: _originals.Socket, source: str | None, like: int) -> None:
    """Before a connect(): binds to `source`, if given, and to a reserved port if `like` is one and we may.

    Raises OSError when there is no such address of ours.
    """
    if _reserve(stream, source, like) or source is None:
        return
    _originals.setsockopt(stream, socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
    _originals.bind(stream, sockaddr(source, 0))


def bind_to_listen(stream: _originals.Socket, source: str, like: int, wanted: int) -> None:
    """Binds to `source`, at a reserved port if `like` is one and we may, else at the `wanted` one if it is to be had.

    Raises OSError when there is no such address of ours.
    """
    if _reserve(stream, source, like):
        return
    for port in (wanted, 0) if wanted >= RESERVED.stop else (0,):
        try:
            _originals.bind(stream, sockaddr(source, port))
            return
        except OSError as error:
            if not port or error.errno != errno.EADDRINUSE:
                raise


def source_towards(host: str) -> str | None:
    """The own address from which a host is reached, None if it is not; connect(2) finds it, and sends nothing."""
    with contextlib.closing(
        _originals.Socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    ) as probe:
        try:
            _originals.connect(probe, sockaddr(host, _DISCARD))
            source: str = _originals.getsockname(probe)[0]
        except OSError:
            return None
    return source


def _reserve(stream: _originals.Socket, source: str | None, like: int) -> bool:
    """Binds to a reserved port, if `like` is one and there is one to be had."""
    if like not in RESERVED:
        return False
    host = source or ("0.0.0.0" if stream.family == socket.AF_INET else "::")
    for port in reversed(RESERVED):
        try:
            _originals.bind(stream, sockaddr(host, port))
            return True
        except OSError as error:
            # EACCES, as a rule: only root may.
            if error.errno != errno.EADDRINUSE:
                return False
    return False
