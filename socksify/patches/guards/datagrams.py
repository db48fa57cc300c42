"""Guards the objects whose socket is connected to where it may not send; see swap.py for how.

At each send the kernel is asked first whom the socket is connected to, so that no dup(), no fd from elsewhere and no
other connect(2) can put a guard in the wrong; where it knows of nobody, fence.py does. Sockets of the link layer have
a guard all their life.
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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket as Socket
    from typing import Any

    from socksify.patches.guards.subclass_swap import Members
    from socksify.tunnel.datagrams import Held

# connect(2) of these sends nothing; SCTP and DCCP shake hands.
CONNECTIONLESS = (SOCK_DGRAM, SOCK_RAW)
# Linux's link layer; elsewhere no family has this number.
LINK = int(getattr(_module, "AF_PACKET", -2))

_LOOPBACK = "lo"
# A socket that never was: the stdlib says of it what is wrong with arguments, and nothing is sent.
NOWHERE = _originals.Socket.__new__(_originals.Socket)

# The objects that are guarded, by their id(): the via() that they were connected in, which goes on to decide, and what
# the fence knows.
_guarded: dict[int, tuple[weak_reference[Socket], scope.Way | None, Held | None]] = {}


def adopt(sock: Socket) -> None:
    """Guard a new object of the link layer, and one that was made from the fd of a socket that may not send."""
    family = _originals.family(sock)
    known = datagrams.find(sock)
    if family == LINK or known is not None:
        _guard(sock, known)
    elif _originals.kind(sock) != SOCK_STREAM and _domain(sock) == LINK:
        # What fromfd() was told of an fd is for the kernel to confirm.
        _guard(sock, None)
    elif ip_family(family) and _originals.kind(sock) in CONNECTIONLESS and _is_mute(sock):
        _guard(sock, None)


def connect(sock: Socket, address: _originals.InternalAddress) -> None:
    """Connect a socket to where it may not send: it tells its own address and its peer's, and nothing leaves."""
    _guard(sock, datagrams.put_up(sock, address))


def guard_late(sock: Socket) -> bool:
    """Guard an object whose socket another one has connected to where it may not send; False if that is not so."""
    known = datagrams.find(sock) if id(sock) not in _guarded else None
    if known is None:
        return False
    _guard(sock, known)
    return True


def release(sock: Socket) -> None:
    """Let an object send again, whose socket has been connected to somebody to whom it may."""
    _, _, known = _guarded.pop(id(sock), (None, None, None))
    _guards.restore(sock)
    if datagrams.held or known is not None:
        datagrams.forget(sock, known)


def release_all() -> None:
    """Let every object send again: nobody routes any more."""
    for reference, _, known in list(_guarded.values()):
        sock = reference()
        if sock is not None:
            _connect_to_peer(sock, known)
            release(sock)
    datagrams.held.clear()


def _connect_to_peer(sock: Socket, known: Held | None) -> None:
    """Have the kernel connect the socket to whom it has been connected in appearance."""
    if known is None or _kernels_peer(sock) is not None:
        return
    try:
        _originals.connect(sock, known.address)
    except ours(OSError):  # the network is another by now; it stays on this machine
        pass


def admit_frame(address: Any, check: Callable[[], object]) -> None:
    """Refuse a frame for an interface but loopback's; packet(7): an address begins with the interface's name."""
    interface = address[0] if isinstance(address, tuple) and address else None
    if not isinstance(interface, str) or interface in ("", _LOOPBACK) or scope.current().settings.udp == "direct":
        return
    _try(check)
    datagrams.refuse_frame(interface)


def check(sock: Socket, call: Callable[[], object]) -> None:
    """Before a refusal, raise what the stdlib says of arguments (as `call` has it) and of a closed socket."""
    _try(call)
    if _originals.fileno(sock) < 0:
        raise OSError(EBADF, os.strerror(EBADF))


def _try(call: Callable[[], object]) -> None:
    try:
        call()
    except ours(OSError):  # it is no socket, which is not what was asked
        pass


def _guard(sock: Socket, known: Held | None) -> None:
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
    """Refuse what a guarded object sends to its peer, unless that has become one to which it may send."""
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


def _is_mute(sock: Socket) -> bool:
    try:
        peer = _kernels_peer(sock)
        return not isinstance(datagrams.decide(scope.current().router, _originals.family(sock), peer), Direct)
    except gaierror:  # which is told when something is sent
        return True


def _peer(sock: Socket, known: Held | None) -> Any:
    """Whom the socket is connected to, or seems to be; None if it is not."""
    peer = _kernels_peer(sock)
    if peer is not None:
        return peer
    known = datagrams.find(sock) or known
    return None if known is None else known.address


def _kernels_peer(sock: Socket) -> Any:
    try:
        return _originals.getpeername(sock)
    except ours(OSError):
        return None


def _domain(sock: Socket) -> int:
    """The family that a socket is of to the kernel."""
    try:
        return _originals.getsockopt(sock, SOL_SOCKET, SO_DOMAIN)
    except ours(OSError):
        return _originals.family(sock)


_guards = SubclassSwap(_members)
