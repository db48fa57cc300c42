"""Conversions between the forms of an address, and the choice of the server's own address for a socket.

The server meets an address in three forms. Text is `HOST:PORT`, as in a configuration file or in the log. A sockaddr is
the tuple that bind(2), connect(2) and sendto(2) take, and that accept(2) and recvfrom(2) return. An `Address` is the
value that SOCKS carries.

A link-local address belongs to an interface. A sockaddr holds the interface's number; a literal holds it as its zone,
`fe80::1%2` (RFC 4007 section 11). CPython accepts a zone inside of a sockaddr's host, and then ignores it.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from socket import if_nametoindex

from socksify import _originals
from socksify.config.ip import unmapped
from socksify.protocol.address import IPV4, IPV6, Address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Only root can bind a port below 1024. rshd and rlogind trust a client for that reason; rcmd(3) uses ports from 512 on.
# The original server answered a reserved source port with a reserved one.
RESERVED = range(512, 1024)

# ip(7), IP_BIND_ADDRESS_NO_PORT: the port is chosen by connect(2), and has to be unused for that destination only.
_BIND_ADDRESS_NO_PORT = 24
# Any port will do for a connect(2) of a datagram socket, which sends nothing.
_DISCARD = 9


def format_address(host: str, port: int) -> str:
    """Return `host:port`, an IPv6 host in brackets.

    Blanks and unprintable characters of the host are escaped: a name sent by a client can neither forge a word or a
    line of the log, nor control a terminal.
    """
    host = ascii(host)[1:-1].replace(" ", r"\x20")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_address(text: str) -> tuple[str, int]:
    """Return the host and the port of `HOST:PORT`. Brackets around the host are removed; the host may be a name.

    Raises ValueError if the host is empty or the port is not a number up to 65535.
    """
    host, _, port = text.rpartition(":")
    if not (host and port.isascii() and port.isdecimal() and int(port) <= 65535):
        raise ValueError(f"{text!r}: expected ADDRESS:PORT")
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host, int(port)


def to_sockaddr(host: str, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
    """Return the sockaddr of a literal. Raises OSError if its zone is the name of no interface."""
    literal, scoped, zone = host.partition("%")
    if not scoped:
        return host, port
    return literal, port, 0, int(zone) if zone.isascii() and zone.isdecimal() else if_nametoindex(zone)


def host_of(sockaddr: tuple[Any, ...]) -> str:
    """Return the literal of a sockaddr, with the zone of a link-local address."""
    host: str = sockaddr[0]
    return f"{host}%{sockaddr[3]}" if len(sockaddr) == 4 and sockaddr[3] else host


def address_of(sockaddr: tuple[str, int]) -> Address:
    """Return the Address of a sockaddr. The zone is dropped: SOCKS cannot carry it."""
    host = sockaddr[0].partition("%")[0]
    return Address(IPV6 if ":" in host else IPV4, host, sockaddr[1])


def normalize(target: Address) -> Address:
    """Return a target in the form that rules compare.

    A name becomes ASCII, a name that reads like a literal becomes that literal, and an IPv4-mapped IPv6 address becomes
    the IPv4 address.
    """
    if target.type == IPV4:
        return target
    if not target.host.isascii():
        target = target.replace(host=_in_ascii(target.host))
    target = target.literal()
    if target.type != IPV6:
        return target
    host = unmapped(target.host)
    return target if host == target.host else Address(IPV4, host, target.port)


def _in_ascii(name: str) -> str:
    """Return the A-labels of a name in UTF-8, as some resolvers do; or the name itself if it has no A-labels."""
    try:
        return name.encode("ascii", "surrogateescape").decode().encode("idna").decode()
    except UnicodeError:
        return name


def bind_source(stream: _originals.Socket, source: str | None, client_port: int) -> None:
    """Bind a socket that is about to connect.

    `source` is a literal of this machine, None for the kernel's choice. If `client_port` is reserved, a reserved port
    is chosen if this process may bind one. Raises OSError if this machine does not have the address.
    """
    if _bind_reserved(stream, source, client_port) or source is None:
        return
    _originals.setsockopt(stream, socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
    _originals.bind(stream, to_sockaddr(source, 0))


def bind_to_listen(stream: _originals.Socket, source: str, client_port: int, wanted: int) -> None:
    """Bind a socket that is about to listen on the literal `source`.

    If `client_port` is reserved, a reserved port is chosen if this process may bind one. Otherwise the port is `wanted`
    if `wanted` is free and not reserved, else any free port. Raises OSError if this machine does not have the address.
    """
    if _bind_reserved(stream, source, client_port):
        return
    for port in (wanted, 0) if wanted >= RESERVED.stop else (0,):
        try:
            _originals.bind(stream, to_sockaddr(source, port))
            return
        except OSError as error:
            if not port or error.errno != errno.EADDRINUSE:
                raise


def source_towards(host: str) -> str | None:
    """Return the address of this machine from which the literal `host` is reached, None if there is no route to it.

    The kernel tells the address after a connect(2) of a datagram socket, which sends nothing.
    """
    with contextlib.closing(
        _originals.Socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    ) as probe:
        try:
            _originals.connect(probe, to_sockaddr(host, _DISCARD))
            source: str = _originals.getsockname(probe)[0]
        except OSError:
            return None
    return source


def _bind_reserved(stream: _originals.Socket, source: str | None, client_port: int) -> bool:
    """Bind to a reserved port. Return False if `client_port` is not reserved, or no reserved port can be bound."""
    if client_port not in RESERVED:
        return False
    host = source or ("0.0.0.0" if stream.family == socket.AF_INET else "::")
    for port in reversed(RESERVED):
        try:
            _originals.bind(stream, to_sockaddr(host, port))
            return True
        except OSError as error:
            # EACCES as a rule: only root may bind a reserved port.
            if error.errno != errno.EADDRINUSE:
                return False
    return False
