"""Which address and port of our own a connection, or what is listened on, has."""

from __future__ import annotations

import contextlib
import errno
import socket

from socksify import _real
from socksify.server.sockaddr import sockaddr

# Only root can have a port below 1024, which is what rshd and rlogind believe in; rcmd(3) takes one from 512 on. The
# original kept to that: what came from such a port went out from such a port.
RESERVED = range(512, 1024)


# ip(7), IP_BIND_ADDRESS_NO_PORT: a port is chosen at connect() only, and has to differ for that one destination alone.
_BIND_ADDRESS_NO_PORT = 24
_DISCARD = 9


def bind(stream: _real.Socket, source: str | None, like: int) -> None:
    """Before a connect(): binds to `source`, if given, and to a reserved port if `like` is one and we may.

    Raises OSError when there is no such address of ours.
    """
    if _reserve(stream, source, like) or source is None:
        return
    _real.setsockopt(stream, socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
    _real.bind(stream, sockaddr(source, 0))


def bind_to_listen(stream: _real.Socket, source: str, like: int, wanted: int) -> None:
    """Binds to `source`, at a reserved port if `like` is one and we may, else at the `wanted` one if it is to be had.

    Raises OSError when there is no such address of ours.
    """
    if _reserve(stream, source, like):
        return
    for port in (wanted, 0) if wanted >= RESERVED.stop else (0,):
        try:
            _real.bind(stream, sockaddr(source, port))
            return
        except OSError as error:
            if not port or error.errno != errno.EADDRINUSE:
                raise


def source_towards(host: str) -> str | None:
    """The own address from which a host is reached, None if it is not; connect(2) finds it, and sends nothing."""
    with contextlib.closing(
        _real.Socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    ) as probe:
        try:
            _real.connect(probe, sockaddr(host, _DISCARD))
            source: str = _real.getsockname(probe)[0]
        except OSError:
            return None
    return source


def _reserve(stream: _real.Socket, source: str | None, like: int) -> bool:
    """Binds to a reserved port, if `like` is one and there is one to be had."""
    if like not in RESERVED:
        return False
    host = source or ("0.0.0.0" if stream.family == socket.AF_INET else "::")
    for port in reversed(RESERVED):
        try:
            _real.bind(stream, sockaddr(host, port))
            return True
        except OSError as error:
            # EACCES, as a rule: only root may.
            if error.errno != errno.EADDRINUSE:
                return False
    return False
