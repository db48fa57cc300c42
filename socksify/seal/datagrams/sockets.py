"""UDP sockets in the hands of a sealed program: how it gets one, and whether a descriptor is one."""

from __future__ import annotations

import os
from errno import EINVAL
from socket import AF_INET, AF_INET6, SO_BINDTODEVICE, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK, SOL_SOCKET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify import _originals
    from socksify.seal.kernel.listener import Listener
    from socksify.seal.kernel.target import Target

# The bits of the type in the second argument of socket(2). The others are flags.
_TYPE = 0xF
_LOOPBACK = b"lo"
# IFNAMSIZ of <net/if.h>
_LONGEST_DEVICE = 16


def flags_of(kind: int) -> int:
    """Return the flags in the second argument of socket(2). Raises OSError (EINVAL) if there are unknown ones."""
    flags = kind & 0xFFFFFFFF & ~_TYPE
    if flags & ~(SOCK_CLOEXEC | SOCK_NONBLOCK):
        raise OSError(EINVAL, os.strerror(EINVAL))
    return flags


def give(listener: Listener, id: int, flags: int, made: _originals.Socket | OSError) -> None:
    """Let socket(2) return a socket, or fail with an error. Our own descriptor is closed."""
    if isinstance(made, OSError):
        listener.answer(id, error=made.errno or EINVAL)
        return
    try:
        if flags & SOCK_NONBLOCK:
            made.setblocking(False)
        listener.add_descriptor(id, made.fileno(), bool(flags & SOCK_CLOEXEC))
    except OSError as error:
        listener.answer(id, error=error.errno or EINVAL)
    finally:
        made.close()


def bind_to_loopback(sock: _originals.Socket) -> None:
    """Let the kernel keep on this machine what is sent on a socket. Raises OSError (EPERM) if it is bound elsewhere."""
    if sock.getsockopt(SOL_SOCKET, SO_BINDTODEVICE, _LONGEST_DEVICE).rstrip(b"\0") != _LOOPBACK:
        sock.setsockopt(SOL_SOCKET, SO_BINDTODEVICE, _LOOPBACK)


def is_datagram_socket(target: Target, thread: int, fd: int) -> bool:
    """Return True if a descriptor is a UDP socket. Raises OSError."""
    sock = target.take_socket(thread, fd)
    try:
        return sock.type == SOCK_DGRAM and sock.family in (AF_INET, AF_INET6)
    finally:
        sock.close()
