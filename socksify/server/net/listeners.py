"""Listening sockets: made by the server, or passed to it by the program that started it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable

from socksify import _originals
from socksify.config.errors import ConfigError
from socksify.server.core.loop import Loop
from socksify.server.net.addresses import format_address, host_of, to_sockaddr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping

# sd-daemon.h: SD_LISTEN_FDS_START.
FIRST_FD = 3

_LISTENS = socket.SOL_SOCKET, socket.SO_ACCEPTCONN


def listen(loop: Loop, host: str, port: int, shared: bool = False) -> _originals.Socket:
    """Return a new listening socket of the loop on a literal and a port; port 0 is any free port.

    `shared` lets other processes listen on the same port. The caller has checked that the server may listen on this
    address. Raises ValueError if `host` is no literal, and OSError if the address cannot be bound.
    """
    listener = bind_listener(loop, host, port, shared)
    try:
        listener.listen(socket.SOMAXCONN)
    except BaseException:
        loop.discard(listener)
        raise
    return listener


def bind_listener(loop: Loop, host: str, port: int, shared: bool) -> _originals.Socket:
    """Return a socket that is bound and does not listen yet. The arguments and the errors are those of `listen`."""
    from ipaddress import ip_address

    family = socket.AF_INET if ip_address(host.partition("%")[0]).version == 4 else socket.AF_INET6
    listener = loop.stream(family)
    try:
        _originals.setsockopt(listener, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            _originals.setsockopt(listener, socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            # A server for both families listens on both, so 0.0.0.0 and :: can be given side by side.
            _originals.setsockopt(listener, socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _originals.bind(listener, to_sockaddr(host, port))
    except OSError as error:
        error.filename = format_address(host, port)
        loop.discard(listener)
        raise
    except BaseException:
        loop.discard(listener)
        raise
    return listener


def addresses_of(listeners: Iterable[_originals.Socket]) -> list[tuple[str, int]]:
    """Return the host and the port of each socket.

    For a Unix socket they are its path and 0. The path of an abstract socket (unix(7)) begins with @.
    """
    names = [_originals.getsockname(listener) for listener in listeners]
    return [
        (host_of(name), name[1]) if isinstance(name, tuple) else (os.fsdecode(name).replace("\0", "@", 1), 0)
        for name in names
    ]


def adopt_listener(loop: Loop, fd: int) -> _originals.Socket:
    """Return the listening stream socket, of IP or Unix, that has the descriptor `fd`.

    Raises ConfigError for any other descriptor. A socket that does not listen would always be ready, and never have a
    connection.
    """
    try:
        listener = loop.adopt(fd)
        if listener.type == socket.SOCK_STREAM and _originals.getsockopt(listener, *_LISTENS):
            return listener
    except OSError:
        # The descriptor is no socket, or it is a socket that does not have the option.
        pass
    raise ConfigError(f"descriptor {fd}, which was passed: expected a stream socket that listens")


def passed_descriptors(environ: MutableMapping[str, str]) -> list[int]:
    """Return the descriptors of the listening sockets that systemd has passed to this process (sd_listen_fds(3)).

    The variables are removed from `environ`, and the descriptors are not inherited by other programs. The list is empty
    if nothing was passed, or if it was passed to another process. Raises ConfigError if LISTEN_FDS is not a number, or
    if one of the descriptors is not open.
    """
    pid, count, _ = (environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
    if pid != str(os.getpid()):
        return []
    if not (count.isascii() and count.isdecimal()):
        raise ConfigError(f"LISTEN_FDS: {count!r}: expected a number")
    fds = []
    # A list for a huge number would not fit into memory, so the list grows with each descriptor that is open.
    for fd in range(FIRST_FD, FIRST_FD + int(count)):
        try:
            os.set_inheritable(fd, False)
        except (OSError, OverflowError):
            raise ConfigError(f"LISTEN_FDS: {count}: descriptor {fd} is not open") from None
        fds.append(fd)
    return fds
