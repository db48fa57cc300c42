"""Addresses of Python's `socket` module. A host is a number, a name, or a name that no host can have.

Each result equals the stdlib's result, but no name server is asked.
"""

from __future__ import annotations

import socket
from socket import AF_INET, AF_INET6, AI_NUMERICHOST, gaierror, inet_aton, inet_ntop, inet_pton

from socksify import _originals
from socksify._signal_safety import ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    SockAddress = tuple[Any, ...]

# CPython treats addresses of these families as those of AF_INET, and looks up names in them: RDS on Linux, divert(4).
_AS_IPV4 = frozenset(int(getattr(socket, name)) for name in ("AF_RDS", "AF_DIVERT") if hasattr(socket, name))

_LONGEST_NAME = 255
_LONGEST_LABEL = 63
_PUNCTUATION = {ord(character): None for character in ".-_"}


def ip_family(family: int) -> int | None:
    """Return AF_INET or AF_INET6 for a family with addresses of that form; None for all others."""
    if family in (AF_INET, AF_INET6):
        return family
    return AF_INET if family in _AS_IPV4 else None


def host_and_port(family: int, address: SockAddress) -> tuple[str, int] | None:
    """Return host and port as getsockaddrarg() of CPython's socketmodule.c accepts them; None if it refuses them."""
    if len(address) != 2 and not (family == AF_INET6 and 2 < len(address) <= 4):
        return None
    host, port = address[:2]
    if isinstance(host, (bytes, bytearray)):
        host = host.decode("ascii", "surrogateescape")
    elif isinstance(host, str) and not host.isascii():
        host = _idna(host)
    if not isinstance(host, str) or not all(hasattr(number, "__index__") for number in address[1:]):
        return None
    if len(address) > 2 and not 0 <= address[2].__index__() <= 0xFFFFF:
        return None
    port = port.__index__()
    if not 0 <= port <= 0xFFFF or "\0" in host:
        return None
    return host, port


def port_number(port: object) -> int | None:
    """Return the port for a number, digits, or the name of a service, as getaddrinfo(3) does; None if there is none."""
    if isinstance(port, (bytes, str)):
        port = port if isinstance(port, str) else port.decode("ascii", "replace")
        port = int(port) if port.isascii() and port.isdecimal() else _service(port)
    return port if isinstance(port, int) and 0 < port <= 0xFFFF else None


def numeric(host: str) -> str | None:
    """Return a numeric host in its usual form, as inet_pton(3) and inet_aton(3) read it; None for a name.

    Mapped addresses are unmapped, and scope ids are left out: neither has a meaning for a proxy.
    """
    if host == "" or host == "<broadcast>":
        return "0.0.0.0" if host == "" else "255.255.255.255"
    try:
        if ":" in host:
            packed = inet_pton(AF_INET6, host.partition("%")[0])
            if packed[:12] == b"\0" * 10 + b"\xff\xff":
                return inet_ntop(AF_INET, packed[12:])
            return inet_ntop(AF_INET6, packed)
        # inet_aton() ignores everything behind white space; getaddrinfo() does not.
        if host[-1] in "0123456789abcdefABCDEF" and host[0].isdigit() and not any(c.isspace() for c in host):
            return inet_ntop(AF_INET, inet_aton(host))
    except ours(OSError, ValueError):
        pass
    return None


def may_be_name(host: str) -> bool:
    """Return True if a host could have this name (RFC 1123 section 2.1; underscores are accepted, too).

    "The highest-level component label will be alphabetic": a name whose last label is a number is an address, or a
    mistake.
    """
    name = host.removesuffix(".")
    labels = name.split(".")
    return (
        name.isascii()
        and name.translate(_PUNCTUATION).isalnum()
        and not name.startswith("-")
        and len(name) <= _LONGEST_NAME
        and all(0 < len(label) <= _LONGEST_LABEL for label in labels)
        and not labels[-1].isdecimal()
    )


def no_such_name() -> gaierror:
    """Return the error of a look-up of a name that no host can have. Nothing is looked up for it."""
    try:
        _originals.getaddrinfo(_originals.InternalHost(b"?"), 0, flags=AI_NUMERICHOST)
    except gaierror as error:
        return error.with_traceback(None)
    raise AssertionError("a question mark is no number")  # pragma: no cover (getaddrinfo(3) takes none)


def _idna(host: str) -> str | None:
    """Return a name as it is looked up. Characters outside of ASCII may spell a number, too."""
    try:
        return host.encode("idna").decode("ascii")
    except ours(UnicodeError):
        return None


def _service(name: str) -> int | None:
    try:
        return socket.getservbyname(name)
    except ours(OSError, ValueError):
        return None
