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
from socket import SO_TYPE, SOCK_DGRAM, SOCK_STREAM, SOL_SOCKET

from socksify import _descriptors, _originals
from socksify._signal_safety import ours
from socksify.protocol.address import NAME
from socksify.routing import fake_addresses, local_host, log
from socksify.routing.route import Direct, Via
from socksify.routing.router import resolve
from socksify.routing.sockaddr import host_and_port, ip_family, numeric
from socksify.tunnel import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket as Socket
    from typing import Any, NoReturn

    from socksify.routing.route import Blocked
    from socksify.routing.router import Router


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
held: OrderedDict[_descriptors.Identity, Held] = OrderedDict()


class Held:
    """A socket behind the fence: to whom it is connected in appearance, and what its client has set since."""

    __slots__ = ("address", "peer", "settings")

    def __init__(self, address: _originals.InternalAddress, peer: Any, settings: list[Setting]) -> None:
        # What connect() was given, and what getpeername() is to say: None where the port is 0.
        self.address = address
        self.peer = peer
        self.settings = settings


def put_up(sock: Socket, address: _originals.InternalAddress) -> Held:
    """Connect a socket to an address in appearance; raises what connect(2) raises."""
    known = find(sock)
    settings = known.settings if known is not None else _settings_of(sock)
    bound = _originals.getsockname(sock)
    name, peer = _name_and_peer(sock, address, settings, bound)
    _turn_inwards(sock, name, is_bound=not _is_wildcard(bound[0]))
    found = Held(address, peer, settings)
    identity = _descriptors.identity(_originals.fileno(sock))
    if identity is not None:
        held[identity] = found
        held.move_to_end(identity)
        while len(held) > _MEMORY:
            held.popitem(last=False)
    return found


def find(sock: Socket) -> Held | None:
    """What is remembered of a socket that is behind the fence."""
    identity = _descriptors.identity(_originals.fileno(sock)) if held else None
    return held.get(identity) if identity is not None else None


def forget(sock: Socket, known: Held | None) -> None:
    """The socket is connected to somebody to whom it may send: it gets the options that its client has set."""
    identity = _descriptors.identity(_originals.fileno(sock))
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
    _originals.close(_like(sock, [*known.settings, setting], strict=True))
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
        _originals.close(like)


def _name_and_peer(
    sock: Socket, address: _originals.InternalAddress, settings: list[Setting], bound: Any
) -> tuple[Any, Any]:
    """The names that connect(2) would give the socket and its peer: another socket of its kind is told them."""
    probe = _like(sock, settings)
    try:
        for level, name in _PROBED:
            _carry(sock, probe, level, name)
        _carry(sock, probe, *_IP_MULTICAST_IF, size=4)
        if not _is_wildcard(bound[0]):
            # A port of its own, which the client's has.
            _carry(sock, probe, *_IP_FREEBIND)
            _originals.bind(probe, (bound[0], 0, *bound[2:]))
        _originals.connect(probe, address)
        try:
            peer = _originals.getpeername(probe)
        except ours(OSError):  # of port 0 the kernel says that there is no peer
            peer = None
        return _originals.getsockname(probe), peer
    finally:
        _originals.close(probe)


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


def _like(sock: Socket, settings: list[Setting], *, strict: bool = False) -> _originals.Socket:
    """A fresh socket of the kind that a socket is to the kernel, with these options; raises OSError if `strict`."""
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
    """The interface to which the kernel's socket is bound; a link-local address binds it, too."""
    found: bytes = _get(sock, *_DEVICE, _NAME_SIZE) or b""
    return b"" if found in _ANY_DEVICE else found


def _is_of(literal: str, device: bytes) -> bool:
    """Whether what is sent by a device to one of its addresses stays on this machine."""
    from socksify.routing.local_host import stays_here

    try:
        return stays_here(literal, _module.if_nametoindex(device.rstrip(b"\0").decode()))
    except ours(OSError):
        return False


def _is_wildcard(host: str) -> bool:
    return host in ("0.0.0.0", "::")


# Which way a datagram takes, or whatever else is no TCP: natively, or, as proxies are asked for TCP alone, not at all.
#
# The rules are those of connections; where they say proxy, the setting `udp` says what becomes of it.


# What a stream socket speaks by default, IPPROTO_TCP and IPPROTO_MPTCP, which falls back to TCP (RFC 8684).
TCP = (0, 6, 262)
# Not every system tells the protocol.
_PROTOCOL_OPTION: int | None = getattr(_module, "SO_PROTOCOL", None)


def kernel_type(sock: Socket) -> int:
    """Return the type that a socket has to the kernel, whatever fromfd() was told. Raises OSError if it is closed."""
    return int(_originals.getsockopt(sock, SOL_SOCKET, SO_TYPE))


def is_tcp(sock: Socket) -> bool:
    """Whether an IP socket speaks TCP to the kernel, whatever fromfd() was told; nothing does that is closed."""
    try:
        if kernel_type(sock) != SOCK_STREAM:
            return False
        if _PROTOCOL_OPTION is None:
            return _originals.protocol(sock) in TCP
        # A Unix socket has no protocol; it may be the way to the proxy, in the place of the client's own.
        return _originals.getsockopt(sock, SOL_SOCKET, _PROTOCOL_OPTION) in TCP
    except ours(OSError):
        return False


def decide(router: Router, family: int, address: object) -> Direct | Via | Blocked:
    """The route of what a socket of `family` that does not speak TCP is to send to `address`.

    With udp="direct" it is never Via, and a name, or the fake address that stands for one, is resolved here. Raises
    gaierror where it cannot be, and as Router.decide() does.
    """
    route = router.decide(family, address)
    if isinstance(route, Via) and router.settings.udp == "direct":
        target = route.target
        return Direct(
            route.rule, resolve(ip_family(family) or family, target.host, target.port) if target.type == NAME else None
        )
    return route


def stand_in(family: int, address: Any, route: Via | Blocked) -> _originals.InternalAddress:
    """An address for connect(2) that means `address`, with the fake literal in place of a name: nobody is asked."""
    host, port = host_and_port(family, address) or ("", 0)
    if numeric(host) is not None:
        return _originals.InternalAddress(address)
    if isinstance(route, Via):
        return _originals.InternalAddress(route.peer)
    here = local_host.address_here(host, family)
    if here is not None:
        return _originals.InternalAddress((here, port))
    return _originals.InternalAddress((fake_addresses.TABLE.address_of(host, family), port))


# What becomes of a datagram that a proxy should get, or of anything else that is no TCP: it is refused.


_PROTOCOLS = {1: "ICMP", 17: "UDP", 33: "DCCP", 58: "ICMPv6", 132: "SCTP", 136: "UDP-Lite"}

_OPTION = 'udp="direct" (--udp direct)'


def refuse(sock: Socket, route: Via | Blocked, address: Any) -> NoReturn:
    """The one place where what should go through a proxy ends, until one is asked to take it (RFC 1928 section 7)."""
    host, port = (route.target.host, route.target.port) if isinstance(route, Via) else address[:2]
    what, why = _kind(sock), _why(route)
    log.denied((host, port), why, what)
    raise errors.not_sent(what, log.host_port(str(host), port), why)


def refuse_frame(interface: str) -> NoReturn:
    """Refuse what is written to an interface: of where it goes from there the rules know nothing."""
    why = f"what is written to an interface goes past every rule; {_OPTION} allows it"
    log.line(f"{log.name}: frame {interface} denied: {why}")
    raise errors.not_sent("frame", interface, why)


def refuse_source_route(what: str) -> NoReturn:
    """Refuse an option, ancillary data or a header that leads past the address that the rules have judged."""
    why = "it leads a packet past the rules, which judge the address that it is sent to"
    log.line(f"{log.name}: {what} denied: {why}")
    raise errors.not_applied(what, why)


def _kind(sock: Socket) -> str:
    number = _originals.protocol(sock)
    return _PROTOCOLS.get(number) or ("UDP" if _originals.kind(sock) == SOCK_DGRAM else f"IP protocol {number}")


def _why(route: Via | Blocked) -> str:
    if not isinstance(route, Via):
        return route.why
    rule, proxy = f"rule {route.rule.text!r} ({route.rule.source})", route.chain[-1].url
    return f"{rule} leaves it to proxy {proxy}, which is asked for TCP alone; {_OPTION} or a direct rule allows it"
