"""Sockets to listen on: made, or taken over from whoever started us."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable

from socksify import _originals
from socksify.config.settings import ConfigError
from socksify.server.core.loop import Loop
from socksify.server.net.addresses import sockaddr, spelled
from socksify.server.session.report import place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableMapping

_LISTENS = socket.SOL_SOCKET, socket.SO_ACCEPTCONN


def listen(loop: Loop, host: str, port: int, shared: bool = False) -> _originals.Socket:
    """Listens on a literal; port 0 is any free one. `shared` lets other processes listen on the same port.

    Whether that address may be listened on at all is for the caller to know. Raises ValueError for what is no
    address, and OSError when it cannot be bound.
    """
    listener = bound(loop, host, port, shared)
    try:
        listener.listen(socket.SOMAXCONN)
    except BaseException:
        loop.discard(listener)
        raise
    return listener


def bound(loop: Loop, host: str, port: int, shared: bool) -> _originals.Socket:
    """Has the address and does not listen yet; else as `listen`."""
    from ipaddress import ip_address

    family = socket.AF_INET if ip_address(host.partition("%")[0]).version == 4 else socket.AF_INET6
    listener = loop.stream(family)
    try:
        _originals.setsockopt(listener, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            _originals.setsockopt(listener, socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            # Who wants both says so by listening on both: 0.0.0.0 and :: can then be given side by side.
            _originals.setsockopt(listener, socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        _originals.bind(listener, sockaddr(host, port))
    except OSError as error:
        error.filename = place(host, port)
        loop.discard(listener)
        raise
    except BaseException:
        loop.discard(listener)
        raise
    return listener


def addresses(listeners: Iterable[_originals.Socket]) -> list[tuple[str, int]]:
    """Their own addresses: host and port, of a Unix socket its path (unix(7)'s abstract ones with @ in front) and 0."""
    names = [_originals.getsockname(listener) for listener in listeners]
    return [
        (spelled(name), name[1]) if isinstance(name, tuple) else (os.fsdecode(name).replace("\0", "@", 1), 0)
        for name in names
    ]


def adopt(loop: Loop, fd: int) -> _originals.Socket:
    """A stream socket that listens already, of IP or Unix; raises ConfigError for what is none.

    One that does not would be ready for ever, and never have a connection.
    """
    try:
        listener = loop.adopt(fd)
        if listener.type == socket.SOCK_STREAM and _originals.getsockopt(listener, *_LISTENS):
            return listener
    except OSError:
        # No socket at all, or one of datagrams, which has no options of TCP's.
        pass
    raise ConfigError(f"descriptor {fd}, which was passed: expected a stream socket that listens")


# Sockets that whoever started us listens on already: sd_listen_fds(3).


# sd-daemon.h: SD_LISTEN_FDS_START.
FIRST = 3


def inherited(environ: MutableMapping[str, str]) -> list[int]:
    """Their descriptors, kept from other programs; none when none were passed, or not to this process.

    The variables are taken away. Raises ConfigError for a number that is none, or of more than are open.
    """
    pid, count, _ = (environ.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
    if pid != str(os.getpid()):
        return []
    if not (count.isascii() and count.isdecimal()):
        raise ConfigError(f"LISTEN_FDS: {count!r}: expected a number")
    fds = []
    # One after another, because there may be said to be more of them than there is memory for their numbers.
    for fd in range(FIRST, FIRST + int(count)):
        try:
            os.set_inheritable(fd, False)
        except (OSError, OverflowError):
            raise ConfigError(f"LISTEN_FDS: {count}: descriptor {fd} is not open") from None
        fds.append(fd)
    return fds
