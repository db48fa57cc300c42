"""Connects a datagram socket in appearance only, to a destination to which it may not send.

The socket gets the name (getsockname) that connect(2) would have given it. The kernel connects it to this machine
instead: to port 0 of a loopback address, where nobody can listen. So nothing leaves that is written past the methods,
by os.write(), by C code on the fd, by a dup() or by a forked child. Nobody is told of the first such datagram but the
kernel, which answers the next call with ECONNREFUSED. getpeername(2) has no peer to tell; we remember it.

connect(2) replaces one peer by the next in one step. There is no moment in which another holder could send.
"""

from __future__ import annotations

import os
import socket as _module
from collections import OrderedDict
from errno import EADDRNOTAVAIL
from socket import SO_TYPE, SOL_SOCKET

from socksify import _real, descriptors
from socksify.interrupts import ours
from socksify.tunnel import machine
from socksify.tunnel.sockaddr import numeric

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket as Socket
    from typing import Any

    # The level, the name, and what else setsockopt() is given.
    Setting = tuple[Any, ...]

_IP, _IPV6 = 0, 41
_DEVICE = (SOL_SOCKET, int(getattr(_module, "SO_BINDTODEVICE", -1)))
# Linux's numbers; Python 3.11 has no names for all of them. Elsewhere no option of that number is asked for.
_MARK = (SOL_SOCKET, int(getattr(_module, "SO_MARK", -1)))
_DEVICE_NUMBER = (SOL_SOCKET, 62)
_UNICAST_INTERFACES = ((_IP, 50), (_IPV6, 76))
_PACKET_INFO = (_IPV6, 50)
_SO_PROTOCOL = int(getattr(_module, "SO_PROTOCOL", -1))
_ANY_DEVICE = (b"", b"\0")
_NAME_SIZE, _PACKET_INFO_SIZE = 16, 20

# The options that lead what is sent to another interface or by another route. While the fence is up the kernel's socket
# has none of them.
OPTIONS = frozenset({_DEVICE, _DEVICE_NUMBER, _MARK, *_UNICAST_INTERFACES, _PACKET_INFO})

# What decides whether connect(2) works, and which address it chooses, besides OPTIONS.
_PROBED = tuple(
    (level, int(getattr(_module, name)))
    for level, name in (
        (SOL_SOCKET, "SO_BROADCAST"), (_IP, "IP_TOS"), (_IP, "IP_TRANSPARENT"), (_IPV6, "IPV6_V6ONLY"),
        (_IPV6, "IPV6_MULTICAST_IF"),
    )
    if hasattr(_module, name)
)  # fmt: skip
_IP_FREEBIND, _IP_MULTICAST_IF = (_IP, 15), (_IP, 32)

# As many are remembered beyond those whose objects are there: an fd may go on without an object.
_MEMORY = 1024

# By the kernel's name of the socket, (st_dev, st_ino).
held: OrderedDict[descriptors.Identity, Held] = OrderedDict()


class Held:
    """A socket behind the fence: to whom it is connected in appearance, and what its client has set since."""

    __slots__ = ("address", "peer", "settings")

    def __init__(self, address: _real.SockAddress, peer: Any, settings: list[Setting]) -> None:
        # What connect() was given, and what getpeername() is to say: None where the port is 0.
        self.address = address
        self.peer = peer
        self.settings = settings


def put_up(sock: Socket, address: _real.SockAddress) -> Held:
    """Connect a socket to an address in appearance; raises what connect(2) raises."""
    known = find(sock)
    settings = known.settings if known is not None else _settings_of(sock)
    bound = _real.getsockname(sock)
    name, peer = _name_and_peer(sock, address, settings, bound)
    _turn_inwards(sock, name, is_bound=not _is_wildcard(bound[0]))
    found = Held(address, peer, settings)
    identity = descriptors.identity(_real.fileno(sock))
    if identity is not None:
        held[identity] = found
        held.move_to_end(identity)
        while len(held) > _MEMORY:
            held.popitem(last=False)
    return found


def find(sock: Socket) -> Held | None:
    """What is remembered of a socket that is behind the fence."""
    identity = descriptors.identity(_real.fileno(sock)) if held else None
    return held.get(identity) if identity is not None else None


def forget(sock: Socket, known: Held | None) -> None:
    """The socket is connected to somebody to whom it may send: it gets the options that its client has set."""
    identity = descriptors.identity(_real.fileno(sock))
    known = (held.pop(identity, None) if identity is not None else None) or known
    if known is not None:
        for setting in known.settings:
            _try(sock, setting)


def set_option(sock: Socket, setting: Setting) -> bool:
    """Remember one of OPTIONS for a socket behind the fence; False where the kernel is to have it. Raises OSError."""
    known = find(sock)
    if known is None:
        return False
    # A socket of no consequence says whether this client may set it, and to that.
    _real.close(_like(sock, [*known.settings, setting], strict=True))
    known.settings.append(setting)
    return True


def option(sock: Socket, level: int, name: int, size: int) -> int | bytes | None:
    """One of OPTIONS as the client has set it; None where the kernel is to be asked."""
    known = find(sock)
    if known is None:
        return None
    like = _like(sock, known.settings)
    try:
        return like.getsockopt(level, name, size) if size else like.getsockopt(level, name)
    finally:
        _real.close(like)


def _name_and_peer(sock: Socket, address: _real.SockAddress, settings: list[Setting], bound: Any) -> tuple[Any, Any]:
    """The names that connect(2) would give the socket and its peer: another socket of its kind is told them."""
    probe = _like(sock, settings)
    try:
        for level, name in _PROBED:
            _carry(sock, probe, level, name)
        _carry(sock, probe, *_IP_MULTICAST_IF, size=4)
        if not _is_wildcard(bound[0]):
            # A port of its own, which the client's has.
            _carry(sock, probe, *_IP_FREEBIND)
            _real.bind(probe, (bound[0], 0, *bound[2:]))
        _real.connect(probe, address)
        try:
            peer = _real.getpeername(probe)
        except ours(OSError):  # of port 0 the kernel says that there is no peer
            peer = None
        return _real.getsockname(probe), peer
    finally:
        _real.close(probe)


def _turn_inwards(sock: Socket, name: Any, *, is_bound: bool) -> None:
    """Connect the kernel's socket to this machine, so that it gets that name; raises OSError where it would not stay.

    First to its own address, from which the kernel chooses that for its name. Then to loopback, for the machine may
    lose the address; but what is bound to a device cannot reach loopback.
    """
    host, scope = name[0], name[2:]
    literal = numeric(host)
    for level, option_name in OPTIONS - {_DEVICE, _DEVICE_NUMBER, _PACKET_INFO}:
        _clear(sock, level, option_name)
    _try(sock, (*_PACKET_INFO, bytes(_PACKET_INFO_SIZE)))
    _try(sock, (*_DEVICE, b""))
    device = _device(sock)
    if literal is None or (is_bound and not machine.is_own(literal)) or (device and not _is_of(literal, device)):
        raise OSError(EADDRNOTAVAIL, f"{os.strerror(EADDRNOTAVAIL)}: {host} is no address of this machine's")
    _real.connect(sock, _real.SockAddress((host, 0, *scope)))
    if not _device(sock):
        loopback = "::ffff:127.0.0.1" if host.startswith("::ffff:") else "::1" if ":" in host else "127.0.0.1"
        try:
            _real.connect(sock, _real.SockAddress((loopback, 0)))
        except ours(OSError):  # the interface is down
            pass


def _settings_of(sock: Socket) -> list[Setting]:
    """Which of OPTIONS the client has set before."""
    found: list[Setting] = []
    for level, name in (_MARK, *_UNICAST_INTERFACES):
        number = _get(sock, level, name)
        if number:
            found.append((level, name, number))
    info = _get(sock, *_PACKET_INFO, _PACKET_INFO_SIZE)
    if isinstance(info, bytes) and any(info):
        found.append((*_PACKET_INFO, info))
    device = _device(sock)
    if device:
        found.append((*_DEVICE, device))
    return found


def _like(sock: Socket, settings: list[Setting], *, strict: bool = False) -> _real.Socket:
    """A fresh socket of the kind that a socket is to the kernel, with these options; raises OSError if `strict`."""
    kind = _real.getsockopt(sock, SOL_SOCKET, SO_TYPE)
    fresh = _real.Socket(_real.family(sock), kind, _get(sock, SOL_SOCKET, _SO_PROTOCOL) or 0)
    try:
        for setting in settings:
            if strict and setting is settings[-1]:
                fresh.setsockopt(*setting)
            else:
                _try(fresh, setting)
    except BaseException:
        _real.close(fresh)
        raise
    return fresh


def _carry(sock: Socket, fresh: Socket | _real.Socket, level: int, name: int, size: int = 0) -> None:
    value = _get(sock, level, name, size)
    if value:
        _try(fresh, (level, name, value))


def _get(sock: Socket, level: int, name: int, size: int = 0) -> Any:
    try:
        return _real.getsockopt(sock, level, name, size)
    except ours(OSError):
        return None


def _clear(sock: Socket, level: int, name: int) -> None:
    if _get(sock, level, name):
        _try(sock, (level, name, 0))


def _try(sock: Socket | _real.Socket, setting: Setting) -> None:
    try:
        _real.setsockopt(sock, *setting)
    except ours(OSError):
        pass


def _device(sock: Socket) -> bytes:
    """The interface to which the kernel's socket is bound; a link-local address binds it, too."""
    found: bytes = _get(sock, *_DEVICE, _NAME_SIZE) or b""
    return b"" if found in _ANY_DEVICE else found


def _is_of(literal: str, device: bytes) -> bool:
    """Whether what is sent by a device to one of its addresses stays on this machine."""
    from socksify.tunnel.rtnetlink import stays_here

    try:
        return stays_here(literal, _module.if_nametoindex(device.rstrip(b"\0").decode()))
    except ours(OSError):
        return False


def _is_wildcard(host: str) -> bool:
    return host in ("0.0.0.0", "::")
