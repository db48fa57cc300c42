"""Put a fresh kernel socket on the client's fd, if the present kernel socket cannot be used.

A fresh socket is necessary if the proxy has another address family (for example, an AF_INET socket and an IPv6 or
Unix-socket proxy), and before the next connect() after a failure. dup2(2) replaces the old socket in one step, so no
other thread can get the fd's number in between. The options that the client has set are copied to the fresh socket.
Other dups still refer to the old socket, and pollers in C code that watch the fd still watch the old socket.
"""

from __future__ import annotations

import os
import socket
import sys
from socket import AF_INET, AF_UNIX, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, SOCK_STREAM, SOL_SOCKET

from socksify import _originals
from socksify._descriptors import put_onto
from socksify._signal_safety import ours
from socksify.tunnel.registry import registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket as Socket

    from socksify.routing.sockaddr import SockAddress
    from socksify.tunnel.state import Tunnel

    _Options = tuple[tuple[int, int], ...]


def _named(level: int, *names: str) -> _Options:
    """Return those of the named options that this platform has."""
    return tuple((level, getattr(socket, name)) for name in names if hasattr(socket, name))


# The values of these options fit an int. SO_RCVBUF and SO_SNDBUF are separate, because the kernel doubles their values.
_SOCKET_OPTIONS = _named(
    SOL_SOCKET, "SO_KEEPALIVE", "SO_REUSEADDR", "SO_REUSEPORT", "SO_OOBINLINE", "SO_PRIORITY", "SO_MARK"
)
_BUFFERS = _named(SOL_SOCKET, "SO_RCVBUF", "SO_SNDBUF")
# struct linger, struct timeval.
_STRUCTURES = _named(SOL_SOCKET, "SO_LINGER", "SO_RCVTIMEO", "SO_SNDTIMEO")
# An interface's name.
_DEVICE = _named(SOL_SOCKET, "SO_BINDTODEVICE")
_TCP_OPTIONS = _named(
    IPPROTO_TCP, "TCP_NODELAY", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT", "TCP_SYNCNT"
)
_IP_OPTIONS = _named(IPPROTO_IP, "IP_TOS", "IP_TTL") + _named(IPPROTO_IPV6, "IPV6_TCLASS", "IPV6_UNICAST_HOPS")
# The options that exist only for some families, or have another level there.
_FAMILY_OPTIONS = (
    _named(SOL_SOCKET, "SO_DOMAIN", "SO_PROTOCOL", "SO_REUSEPORT")
    + _named(IPPROTO_IPV6, "IPV6_V6ONLY")
    + (_TCP_OPTIONS + _IP_OPTIONS)
)

_STRUCTURE_SIZE = 64
# From linux/in.h; Python has no name for it before 3.12.
_NO_PORT = int(getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24))


def fresh_socket(sock: Socket, family: int) -> _originals.Socket:
    """Return a new stream socket of `family` with the options and the blocking mode of the client's socket."""
    fresh = _originals.Socket(family, SOCK_STREAM)
    try:
        # The blocking mode of the object is set, too: a default timeout of the process would make the object wait.
        fresh.setblocking(os.get_blocking(_originals.fileno(sock)))
        for level, name in _SOCKET_OPTIONS + _TCP_OPTIONS + _IP_OPTIONS:
            _carry(sock, fresh, level, name)
        for level, name in _BUFFERS:
            _carry(sock, fresh, level, name, halved=True)
        for level, name in _STRUCTURES + _DEVICE:
            _carry(sock, fresh, level, name, size=_STRUCTURE_SIZE)
    except BaseException:
        fresh.close()
        raise
    return fresh


def move(fresh: _originals.Socket, sock: Socket) -> None:
    """Put a fresh kernel socket on the client's fd. The old socket is closed, unless a dup holds it."""
    fd = _originals.fileno(sock)
    registry.epoll_masks.leaving(fd)
    put_onto(fresh.fileno(), sock)
    fresh.close()
    registry.epoll_masks.moved(fd)


def bind(sock: Socket | _originals.Socket, chosen: SockAddress | None) -> None:
    """Bind a fresh socket to the address that the client chose for the old socket. Raises OSError."""
    if chosen is None:
        return
    try:
        _originals.bind(sock, _originals.InternalAddress(chosen))
    except ours(OSError):
        bind_host(sock, chosen)


def bind_host(sock: Socket | _originals.Socket, chosen: SockAddress | None) -> None:
    """Bind a fresh socket to the host that the client chose for the old socket, and to any port. Raises OSError."""
    if chosen is None:
        return
    try:
        # ip(7): the kernel chooses the port at connect(2). Then only connections to the same proxy need other ports.
        _originals.setsockopt(sock, IPPROTO_IP, _NO_PORT, 1)
    except ours(OSError):  # a system without
        pass
    _originals.bind(sock, _originals.InternalAddress((chosen[0], 0, *chosen[2:])))


def remember_options(sock: Socket, tunnel: Tunnel) -> None:
    """Before a move to another family, remember the options that the new socket could not report to the client."""
    for level, name in _FAMILY_OPTIONS:
        # A stored value comes from the client's own socket, not from a socket that was moved onto its fd.
        if (level, name) not in tunnel.options:
            try:
                tunnel.options[level, name] = _originals.getsockopt(sock, level, name)
            except ours(OSError):
                continue


def stored_option(tunnel: Tunnel, level: int, name: int, size: int) -> int | bytes | None:
    """Return an option as the client has set it, in getsockopt()'s form; None if the kernel has the option."""
    stored = tunnel.options.get((level, name))
    if stored is None or not size:
        return stored
    return stored.to_bytes(4, sys.byteorder, signed=True)[:size]


def store_option(sock: Socket, tunnel: Tunnel, level: int, name: int, value: int | bytes) -> bool:
    """Remember an option that the kernel's socket may not have. Return False if the caller has to set the option."""
    is_unix_proxy = tunnel.route.chain[0].path is not None and level in (IPPROTO_TCP, IPPROTO_IP, IPPROTO_IPV6)
    if not is_unix_proxy and (level, name) not in tunnel.options:
        return False
    if not isinstance(value, int):
        # setsockopt(2): most options are an int. A Unix socket does not use the other options.
        value = int.from_bytes(value[:4], sys.byteorder, signed=True)
    tunnel.options[level, name] = value
    _try_option(sock, level, name, value)
    return True


def restore_family(sock: Socket, tunnel: Tunnel) -> None:
    """Replace the kernel socket by a fresh socket of the client's own family, before a connect() after a failure."""
    move(renewed(sock, tunnel), sock)


def renewed(sock: Socket, tunnel: Tunnel) -> _originals.Socket:
    """Return a fresh kernel socket of the client's own family, with the options that the client has set."""
    fresh = fresh_socket(sock, sock.family if sock.family != AF_UNIX else AF_INET)
    for (level, name), value in tunnel.options.copy().items():
        _try_option(fresh, level, name, value)
    return fresh


def _try_option(sock: Socket | _originals.Socket, level: int, name: int, value: int) -> None:
    try:
        _originals.setsockopt(sock, level, name, value)
    except ours(OSError):
        pass


def _carry(
    sock: Socket, fresh: _originals.Socket, level: int, name: int, *, halved: bool = False, size: int = 0
) -> None:
    """Copy one option of the client's socket, unless the fresh socket has the same value or cannot have the option."""
    try:
        wanted = _originals.getsockopt(sock, level, name, size)
        if wanted == fresh.getsockopt(level, name, size):
            return
        fresh.setsockopt(level, name, wanted // 2 if halved and isinstance(wanted, int) else wanted)
    except ours(OSError):
        pass
