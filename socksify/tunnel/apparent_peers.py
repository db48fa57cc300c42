"""Datagram sockets that are connected in appearance only, because they may not send to their peer.

A client may connect a datagram socket to find out its own address, without sending anything. So the socket gets the
name (getsockname) that connect(2) would have given it. The kernel's socket is connected to this machine instead: to
port 0 of a loopback address, where no socket can listen. A datagram may be written without the object's methods: by
os.write(), by C code on the fd, by a dup() or by a forked child. Such a datagram does not leave the machine. The first
one is lost, and the kernel answers the next call with ECONNREFUSED. getpeername(2) of such a socket fails, so the peer
is remembered here.

connect(2) replaces one peer by the next in one step, so another holder can never send in between.
"""

from __future__ import annotations

import os
import socket as _module
from collections import OrderedDict
from errno import EADDRNOTAVAIL
from socket import SOL_SOCKET

from socksify import _descriptors, _originals
from socksify._signal_safety import ours
from socksify.routing import fake_addresses, local_host
from socksify.routing.sockaddr import numeric
from socksify.tunnel.datagrams import kernel_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket as Socket
    from typing import Any

    # The level, the name, and the other arguments of setsockopt().
    Setting = tuple[Any, ...]

_IP, _IPV6 = 0, 41
_DEVICE = (SOL_SOCKET, int(getattr(_module, "SO_BINDTODEVICE", -1)))
# The numbers are Linux's, because Python 3.11 does not name all of them. On other systems they are not used.
_MARK = (SOL_SOCKET, int(getattr(_module, "SO_MARK", -1)))
_DEVICE_NUMBER = (SOL_SOCKET, 62)
_UNICAST_INTERFACES = ((_IP, 50), (_IPV6, 76))
_PACKET_INFO = (_IPV6, 50)
_SO_PROTOCOL = int(getattr(_module, "SO_PROTOCOL", -1))
_ANY_DEVICE = (b"", b"\0")
_NAME_SIZE, _PACKET_INFO_SIZE = 16, 20

# The options that direct datagrams to another interface or to another route. As long as a socket is connected in
# appearance only, the kernel's socket has none of them.
OPTIONS = frozenset({_DEVICE, _DEVICE_NUMBER, _MARK, *_UNICAST_INTERFACES, _PACKET_INFO})

# These options, too, decide whether connect(2) works, and which address it chooses.
_PROBED = tuple(
    (level, int(getattr(_module, name)))
    for level, name in (
        (SOL_SOCKET, "SO_BROADCAST"), (_IP, "IP_TOS"), (_IP, "IP_TRANSPARENT"), (_IPV6, "IPV6_V6ONLY"),
        (_IPV6, "IPV6_MULTICAST_IF"),
    )
    if hasattr(_module, name)
)  # fmt: skip
_IP_FREEBIND, _IP_MULTICAST_IF = (_IP, 15), (_IP, 32)

# The number of sockets that are remembered here. A socket object remembers its own peer as well, but an fd without an
# object is known here only.
_MEMORY = 1024


class ApparentPeer:
    """The peer to which a socket is connected in appearance, and the options that its client has set.

    `address` is the argument of connect(). `name` is the answer of getpeername(); it is None if the port is 0.
    `settings` are the members of OPTIONS that the client has set, with their values.
    """

    __slots__ = ("address", "name", "settings")

    def __init__(self, address: _originals.InternalAddress, name: Any, settings: list[Setting]) -> None:
        self.address = address
        self.name = name
        self.settings = settings


class ApparentPeers:
    """The sockets that are connected in appearance, by the kernel's names for them, (st_dev, st_ino).

    Callers check `known` before they call a method. It is empty in a program without such sockets.
    """

    __slots__ = ("known",)

    def __init__(self) -> None:
        self.known: OrderedDict[_descriptors.Identity, ApparentPeer] = OrderedDict()

    def connect(self, sock: Socket, address: _originals.InternalAddress) -> ApparentPeer:
        """Connect a socket to an address in appearance. Raises the same errors as connect(2)."""
        before = self.find(sock)
        settings = before.settings if before is not None else _settings_of(sock)
        bound = _originals.getsockname(sock)
        own_name, peer_name = _name_and_peer(sock, address, settings, bound)
        if fake_addresses.TABLE.is_supervised:
            # Under a seal, nothing leaves from a datagram socket. It may be in another network namespace.
            _originals.connect(sock, address)
        else:
            _connect_to_this_machine(sock, own_name, is_bound=not _is_wildcard(bound[0]))
        found = ApparentPeer(address, peer_name, settings)
        identity = _descriptors.identity(_originals.fileno(sock))
        if identity is not None:
            self.known[identity] = found
            self.known.move_to_end(identity)
            while len(self.known) > _MEMORY:
                self.known.popitem(last=False)
        return found

    def find(self, sock: Socket) -> ApparentPeer | None:
        """Return the peer of a socket that is connected in appearance; None for all other sockets."""
        identity = _descriptors.identity(_originals.fileno(sock)) if self.known else None
        return self.known.get(identity) if identity is not None else None

    def forget(self, sock: Socket, peer: ApparentPeer | None) -> None:
        """Forget a socket whose new peer is one to which it may send, and set the options that the client has set.

        `peer` is the peer that the socket's object remembers. It is used if the socket is no longer known here.
        """
        identity = _descriptors.identity(_originals.fileno(sock))
        peer = (self.known.pop(identity, None) if identity is not None else None) or peer
        if peer is not None:
            for setting in peer.settings:
                _try(sock, setting)

    def set_option(self, sock: Socket, setting: Setting) -> bool:
        """Remember one of OPTIONS for a socket that is connected in appearance.

        Returns False if the option is to be set in the kernel. Raises the OSError with which the kernel refuses the
        option.
        """
        peer = self.find(sock)
        if peer is None:
            return False
        # A trial on a temporary socket shows whether the client may set the option to this value.
        _originals.close(_like(sock, [*peer.settings, setting], strict=True))
        peer.settings.append(setting)
        return True

    def option(self, sock: Socket, level: int, name: int, size: int) -> int | bytes | None:
        """Return one of OPTIONS as the client has set it; None if the kernel is to be asked.

        `size` is the size of the buffer for the value, in bytes; 0 asks for a number.
        """
        peer = self.find(sock)
        if peer is None:
            return None
        like = _like(sock, peer.settings)
        try:
            return like.getsockopt(level, name, size) if size else like.getsockopt(level, name)
        finally:
            _originals.close(like)

    def clear(self) -> None:
        """Forget all sockets."""
        self.known.clear()


apparent_peers = ApparentPeers()


def _name_and_peer(
    sock: Socket, address: _originals.InternalAddress, settings: list[Setting], bound: Any
) -> tuple[Any, Any]:
    """Return the names that connect(2) would give the socket and its peer.

    A temporary socket of the same kind is connected to find the names out.
    """
    probe = _like(sock, settings)
    try:
        for level, name in _PROBED:
            _carry(sock, probe, level, name)
        _carry(sock, probe, *_IP_MULTICAST_IF, size=4)
        if not _is_wildcard(bound[0]):
            # The client's socket has its port, so the probe is bound to another port.
            _carry(sock, probe, *_IP_FREEBIND)
            _originals.bind(probe, (bound[0], 0, *bound[2:]))
        _originals.connect(probe, address)
        try:
            peer = _originals.getpeername(probe)
        except ours(OSError):  # the kernel says that a socket with port 0 as its peer has no peer
            peer = None
        return _originals.getsockname(probe), peer
    finally:
        _originals.close(probe)


def _connect_to_this_machine(sock: Socket, name: Any, *, is_bound: bool) -> None:
    """Connect the kernel's socket to this machine, so that the socket gets the name `name`.

    Raises OSError if the datagrams of the socket would not stay on this machine. The socket is connected to its own
    address first, because the kernel takes the name from there. Then it is connected to loopback, because the machine
    may lose the address. A socket that is bound to a device cannot reach loopback.
    """
    host, scope = name[0], name[2:]
    literal = numeric(host)
    for level, option_name in OPTIONS - {_DEVICE, _DEVICE_NUMBER, _PACKET_INFO}:
        _clear(sock, level, option_name)
    _try(sock, (*_PACKET_INFO, bytes(_PACKET_INFO_SIZE)))
    _try(sock, (*_DEVICE, b""))
    device = _device(sock)
    if literal is None or (is_bound and not local_host.is_own(literal)) or (device and not _is_of(literal, device)):
        raise OSError(EADDRNOTAVAIL, f"{os.strerror(EADDRNOTAVAIL)}: {host} is no address of this machine's")
    _originals.connect(sock, _originals.InternalAddress((host, 0, *scope)))
    if not _device(sock):
        loopback = "::ffff:127.0.0.1" if host.startswith("::ffff:") else "::1" if ":" in host else "127.0.0.1"
        try:
            _originals.connect(sock, _originals.InternalAddress((loopback, 0)))
        except ours(OSError):  # the interface is down
            pass


def _settings_of(sock: Socket) -> list[Setting]:
    """Return the members of OPTIONS that the client has set before, with their values."""
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


def _like(sock: Socket, settings: list[Setting], *, strict: bool = False) -> _originals.Socket:
    """Return a fresh socket of the same kind, with the options `settings`.

    Refused options are ignored. If `strict` is true, a refusal of the last option raises OSError.
    """
    kind = kernel_type(sock)
    fresh = _originals.Socket(_originals.family(sock), kind, _get(sock, SOL_SOCKET, _SO_PROTOCOL) or 0)
    try:
        for setting in settings:
            if strict and setting is settings[-1]:
                fresh.setsockopt(*setting)
            else:
                _try(fresh, setting)
    except BaseException:
        _originals.close(fresh)
        raise
    return fresh


def _carry(sock: Socket, fresh: Socket | _originals.Socket, level: int, name: int, size: int = 0) -> None:
    value = _get(sock, level, name, size)
    if value:
        _try(fresh, (level, name, value))


def _get(sock: Socket, level: int, name: int, size: int = 0) -> Any:
    try:
        return _originals.getsockopt(sock, level, name, size)
    except ours(OSError):
        return None


def _clear(sock: Socket, level: int, name: int) -> None:
    if _get(sock, level, name):
        _try(sock, (level, name, 0))


def _try(sock: Socket | _originals.Socket, setting: Setting) -> None:
    try:
        _originals.setsockopt(sock, *setting)
    except ours(OSError):
        pass


def _device(sock: Socket) -> bytes:
    """Return the interface to which the kernel's socket is bound, or b"". A link-local address binds it, too."""
    found: bytes = _get(sock, *_DEVICE, _NAME_SIZE) or b""
    return b"" if found in _ANY_DEVICE else found


def _is_of(literal: str, device: bytes) -> bool:
    """Whether a packet that is sent by a device to one of the device's addresses stays on this machine."""
    from socksify.routing.local_host import stays_here

    try:
        return stays_here(literal, _module.if_nametoindex(device.rstrip(b"\0").decode()))
    except ours(OSError):
        return False


def _is_wildcard(host: str) -> bool:
    return host in ("0.0.0.0", "::")
