"""struct sockaddr as it lies in the memory of a process, and the addresses of the `socket` module."""

from __future__ import annotations

import os
import struct
from errno import EAFNOSUPPORT, EINVAL
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.routing.sockaddr import SockAddress

# struct sockaddr_storage has this many bytes (unix(7) needs 110).
LONGEST = 128

_FAMILY = struct.Struct("=H")
_PORT = struct.Struct("!H")
_SIN, _SIN6 = struct.Struct("=H2s4s8x"), struct.Struct("=H2s4s16sI")
# RFC 2133: struct sockaddr_in6 without a scope, which Linux accepts.
_SHORTEST_SIN6 = 24


def family(raw: bytes) -> int:
    """Return the address family. Raises OSError (EINVAL) if there is not even that."""
    if len(raw) < _FAMILY.size:
        raise OSError(EINVAL, os.strerror(EINVAL))
    (number,) = _FAMILY.unpack_from(raw)
    return int(number)


def parse(raw: bytes, socket_family: int) -> SockAddress:
    """Return an address for a socket of AF_INET or AF_INET6. Raises the OSErrors of connect(2)."""
    if len(raw) < (_SIN.size if socket_family == AF_INET else _SHORTEST_SIN6):
        raise OSError(EINVAL, os.strerror(EINVAL))
    if family(raw) != socket_family:
        raise OSError(EAFNOSUPPORT, os.strerror(EAFNOSUPPORT))
    if socket_family == AF_INET:
        _, port, host = _SIN.unpack_from(raw)
        return inet_ntop(AF_INET, host), *_PORT.unpack(port)
    _, port, flow, host, scope = _SIN6.unpack(raw[: _SIN6.size].ljust(_SIN6.size, b"\0"))
    return inet_ntop(AF_INET6, host), *_PORT.unpack(port), int.from_bytes(flow, "big"), scope


def pack(socket_family: int, address: SockAddress) -> bytes:
    """Return an address of AF_INET or AF_INET6 as it lies in memory."""
    host, port, *rest = address
    if socket_family == AF_INET:
        return _SIN.pack(AF_INET, _PORT.pack(port), inet_pton(AF_INET, host))
    flow, scope = (*rest, 0, 0)[:2]
    return _SIN6.pack(AF_INET6, _PORT.pack(port), flow.to_bytes(4, "big"), inet_pton(AF_INET6, host), scope)


def is_mapped(host: str) -> bool:
    """Return True for an IPv4 address that is written as one of IPv6 (RFC 4291, 2.5.5.2)."""
    return host.startswith("::ffff:") and "." in host


def path(raw: bytes) -> bytes:
    """Return the path of an AF_UNIX address; an abstract name begins with a null byte."""
    name = raw[_FAMILY.size :]
    return name if name.startswith(b"\0") else name.partition(b"\0")[0]
