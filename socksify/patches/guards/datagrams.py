"""Guards of datagram sockets that are connected to a peer to which they may not send.

A SubclassSwap replaces the methods that send without an address. Each send first reads the peer of the socket from the
kernel. Therefore a dup(), an fd of another origin or a connect(2) by other code does not make the guard wrong. If the
socket is bound to loopback instead of being connected, the kernel knows no peer, and `tunnel.apparent_peers` gives it.
Sockets of the link layer always have a guard.
"""

from __future__ import annotations

import os
import socket as _module
from _weakref import ref as weak_reference
from errno import EBADF
from socket import SO_DOMAIN, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM, SOL_SOCKET, gaierror

from socksify import _originals
from socksify._signal_safety import ours
from socksify.patches import scope
from socksify.patches.guards.subclass_swap import SubclassSwap
from socksify.routing.route import Direct
from socksify.routing.sockaddr import ip_family
from socksify.tunnel import datagrams
from socksify.tunnel.apparent_peers import apparent_peers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket as Socket
    from typing import Any

    from socksify.patches.guards.subclass_swap import Members
    from socksify.tunnel.apparent_peers import ApparentPeer

# For these types connect(2) sends nothing. For SCTP and DCCP it starts a handshake.
CONNECTIONLESS = (SOCK_DGRAM, SOCK_RAW)
# The link layer of Linux. Elsewhere no family has this number.
LINK = int(getattr(_module, "AF_PACKET", -2))

_LOOPBACK = "lo"
# A socket object without a descriptor. On it the stdlib checks arguments, and nothing is sent.
NOWHERE = _originals.Socket.__new__(_originals.Socket)

# The guarded objects, by their id(). An entry has the via() in which the object was connected, which still decides, and
# the ApparentPeer of its socket. An entry disappears together with its object.
_guarded: dict[int, tuple[weak_reference[Socket], scope.Way | None, ApparentPeer | None]] = {}


def adopt(sock: Socket) -> None:
    """Guard a new object if it is of the link layer, or was made from the fd of a socket that may not send."""
    family = _originals.family(sock)
    known = apparent_peers.find(sock)
    if family == LINK or known is not None:
        _guard(sock, known)
    elif _originals.kind(sock) != SOCK_STREAM and _domain(sock) == LINK:
        # fromfd() may be given a wrong family. The kernel knows the right one.
        _guard(sock, None)
    elif ip_family(family) and _originals.kind(sock) in CONNECTIONLESS and _may_not_send(sock):
        _guard(sock, None)


def connect(sock: Socket, address: _originals.InternalAddress) -> None:
    """Connect a socket to an address to which it may not send: it reports both addresses, and nothing leaves."""
    _guard(sock, apparent_peers.connect(sock, address))


def guard_late(sock: Socket) -> bool:
    """Guard an object if another object has connected its socket to a forbidden peer; else return False."""
    known = apparent_peers.find(sock) if id(sock) not in _guarded else None
    if known is None:
        return False
    _guard(sock, known)
    return True


def release(sock: Socket) -> None:
    """End the guard of an object: its socket has been connected to a peer to which it may send."""
    _, _, known = _guarded.pop(id(sock), (None, None, None))
    _guards.restore(sock)
    if apparent_peers.known or known is not None:
        apparent_peers.forget(sock, known)


def release_all() -> None:
    """End all guards, because nothing is routed any more."""
    for reference, _, known in list(_guarded.values()):
        sock = reference()
        if sock is not None:
            _connect_to_peer(sock, known)
            release(sock)
    apparent_peers.clear()


def _connect_to_peer(sock: Socket, known: ApparentPeer | None) -> None:
    """Make the kernel connect the socket to the peer that the socket has reported so far."""
    if known is None or _kernels_peer(sock) is not None:
        return
    try:
        _originals.connect(sock, known.address)
    except ours(OSError):  # the network has changed; the socket stays bound to loopback
        pass


def admit_frame(address: Any, check: Callable[[], object]) -> None:
    """Refuse a frame for any interface but loopback. An address begins with the interface's name (packet(7)).

    `check()` raises the stdlib's exceptions about the other arguments. It is called before a refusal.
    """
    interface = address[0] if isinstance(address, tuple) and address else None
    if not isinstance(interface, str) or interface in ("", _LOOPBACK) or scope.current().settings.udp == "direct":
        return
    _try(check)
    datagrams.refuse_frame(interface)


def check(sock: Socket, call: Callable[[], object]) -> None:
    """Raise the stdlib's exceptions, before a refusal: of wrong arguments, by `call()`, and of a closed socket."""
    _try(call)
    if _originals.fileno(sock) < 0:
        raise OSError(EBADF, os.strerror(EBADF))


def _try(call: Callable[[], object]) -> None:
    try:
        call()
    except ours(OSError):  # NOWHERE is no socket; the arguments are right
        pass


def _guard(sock: Socket, known: ApparentPeer | None) -> None:
    key = id(sock)
    _guards.apply(sock)
    _guarded[key] = weak_reference(sock, lambda _: _guarded.pop(key, None)), scope.entered(), known


def _members(cls: type) -> Members:
    return {name: _guarded_method(cls, name) for name in ("send", "sendall", "sendmsg")}


def _guarded_method(cls: Any, name: str) -> Callable[..., Any]:
    def guarded(self: Socket, *args: Any, **kwargs: Any) -> Any:
        # sendmsg() to an address asks the rules itself.
        if name != "sendmsg" or len(args) < 4 or args[3] is None:
            _admit(self, lambda: getattr(_originals.Socket, name)(NOWHERE, *args, **kwargs))
        return getattr(cls, name)(self, *args, **kwargs)

    return guarded


def _admit(sock: Socket, call: Callable[[], object]) -> None:
    """Refuse to send to the peer of a guarded object. If the object may now send to its peer, end the guard."""
    if _domain(sock) == LINK:
        admit_frame(_originals.getsockname(sock), call)
        return
    _, way, known = _guarded.get(id(sock), (None, scope.entered(), None))
    peer = _peer(sock, known)
    route = datagrams.decide(scope.of(way).router, _originals.family(sock), peer)
    if not isinstance(route, Direct):
        check(sock, call)
        datagrams.refuse(sock, route, peer)
    if route.address is not None:
        _originals.connect(sock, _originals.InternalAddress(route.address))
    else:
        _connect_to_peer(sock, known)
    release(sock)


def _may_not_send(sock: Socket) -> bool:
    try:
        peer = _kernels_peer(sock)
        return not isinstance(datagrams.decide(scope.current().router, _originals.family(sock), peer), Direct)
    except gaierror:  # this is raised again when something is sent
        return True


def _peer(sock: Socket, known: ApparentPeer | None) -> Any:
    """Return the peer that the socket has, or reports; None if it has none."""
    peer = _kernels_peer(sock)
    if peer is not None:
        return peer
    known = apparent_peers.find(sock) or known
    return None if known is None else known.address


def _kernels_peer(sock: Socket) -> Any:
    try:
        return _originals.getpeername(sock)
    except ours(OSError):
        return None


def _domain(sock: Socket) -> int:
    """Return the family that a socket has to the kernel."""
    try:
        return _originals.getsockopt(sock, SOL_SOCKET, SO_DOMAIN)
    except ours(OSError):
        return _originals.family(sock)


_guards = SubclassSwap(_members)
