"""Keeps on this machine what is written to a datagram socket past its methods: by os.write(), by C code on its fd.

The kernel does that: a connected socket that is bound to the loopback device goes on telling its addresses, but what
it sends goes out by loopback, where nobody has the destination's (socket(7), SO_BINDTODEVICE; since Linux 5.7 anybody
may do it). It is a second fence, behind the guard of the methods: where the kernel will not, there is the guard alone.
"""

from __future__ import annotations

import socket
from socket import SOL_SOCKET

from socksify import _real
from socksify.tunnel import transplant

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket as Socket

_DEVICE = int(getattr(socket, "SO_BINDTODEVICE", -1))
_NAME_SIZE = 16
_LOOPBACK = b"lo\0"


def put_up(sock: Socket) -> None:
    """Let nothing out, after a connect(2): before it, the kernel would choose loopback's for the outgoing address."""
    # A device of the client's own choice stays.
    if _device(sock) == b"":
        _bind_to(sock, _LOOPBACK)


def take_down(sock: Socket) -> None:
    """Let everything out again; the socket stays connected as it was."""
    if _device(sock) == _LOOPBACK and not _bind_to(sock, b""):
        # Only CAP_NET_RAW may leave a device for another or none.
        _renew(sock)


def open_for(sock: Socket, send: Callable[[], int]) -> int:
    """Send to somebody else than the peer; if the fence is up, it is down for as long."""
    if _device(sock) != _LOOPBACK:
        return send()
    take_down(sock)
    try:
        return send()
    finally:
        put_up(sock)


def _device(sock: Socket) -> bytes | None:
    try:
        return _real.getsockopt(sock, SOL_SOCKET, _DEVICE, _NAME_SIZE)
    except OSError:  # closed, or a system without
        return None


def _bind_to(sock: Socket, device: bytes) -> bool:
    try:
        _real.setsockopt(sock, SOL_SOCKET, _DEVICE, device)
    except OSError:
        return False
    return True


def _renew(sock: Socket) -> None:
    """Put a fresh kernel socket on the fd, with the same name and the same peer."""
    try:
        name, peer = _real.getsockname(sock), _real.getpeername(sock)
        fresh = transplant.fresh_datagram_socket(sock)
    except OSError:
        # Disconnected behind our back; or a raw socket, made before privileges were dropped. It stays fenced in.
        return
    transplant.move(fresh, sock)
    try:
        _real.bind(sock, name)
    except OSError:  # another dup holds the port
        pass
    _real.connect(sock, _real.SockAddress(peer))
