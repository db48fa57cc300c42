"""Guards the objects whose socket is connected to where it may not send; see disguise.py for how.

A guard keeps nothing: whom the socket is connected to is the kernel's to say at each send, so that no dup(), no fd
from elsewhere and no other connect(2) can put it in the wrong. Sockets of the link layer have one all their life.
"""

from __future__ import annotations

import os
import socket as _module
from _weakref import ref as weak_reference
from errno import EBADF
from operator import index
from socket import AF_INET, AF_INET6, SOCK_DGRAM, SOCK_RAW, gaierror

from socksify import _real
from socksify.patches import scope
from socksify.patches.disguise import Disguise
from socksify.tunnel import datagram_route, fence, refusal
from socksify.tunnel.route import Direct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket as Socket
    from typing import Any

    from socksify.patches.disguise import Members

IP = (AF_INET, AF_INET6)
# connect(2) of these sends nothing; SCTP and DCCP shake hands.
CONNECTIONLESS = (SOCK_DGRAM, SOCK_RAW)
# Linux's link layer; elsewhere no family has this number.
LINK = int(getattr(_module, "AF_PACKET", -2))

_LOOPBACK = "lo"
# In the place of port 0, of which getpeername(2) would say that there is no peer.
_LAST_PORT = 65535

# A socket that never was: the stdlib says of it what is wrong with arguments, and nothing is sent.
NOWHERE = _real.Socket.__new__(_real.Socket)

# The objects that are guarded, by their id(), with the via() that they were connected in, which goes on to decide.
_guarded: dict[int, tuple[weak_reference[Socket], scope.Way | None]] = {}


def adopt(sock: Socket) -> None:
    """Guard a new object of the link layer, and one that was made from the fd of a socket that may not send."""
    family = _real.family(sock)
    if family == LINK or (family in IP and _real.kind(sock) in CONNECTIONLESS and _is_mute(sock)):
        _guard(sock)


def connect(sock: Socket, address: _real.SockAddress) -> None:
    """Connect a socket to where it may not send: it tells its own address and its peer's, and nothing leaves."""
    # Fenced in, it would be told loopback's address for its own.
    release(sock)
    _guard(sock)
    _real.connect(sock, _known_to_getpeername(address))
    fence.put_up(sock)


def _known_to_getpeername(address: _real.SockAddress) -> _real.SockAddress:
    """The address with a port: with port 0 the kernel says that there is no peer, and sends to it all the same."""
    host, port, *rest = address
    return address if index(port) else _real.SockAddress((host, _LAST_PORT, *rest))


def release(sock: Socket) -> None:
    """Let an object send again."""
    if _guarded.pop(id(sock), None) is not None:
        _guards.take_off(sock)
        fence.take_down(sock)


def send_elsewhere(sock: Socket, send: Callable[[], int]) -> int:
    """Send from an object, whoever its peer is, to somebody to whom it may."""
    return fence.open_for(sock, send) if id(sock) in _guarded else send()


def release_all() -> None:
    """Let every object send again: nobody routes any more."""
    for reference, _ in list(_guarded.values()):
        sock = reference()
        if sock is not None:
            release(sock)


def admit_frame(address: Any, check: Callable[[], object]) -> None:
    """Refuse a frame for an interface but loopback's; packet(7): an address begins with the interface's name."""
    interface = address[0] if isinstance(address, tuple) and address else None
    if not isinstance(interface, str) or interface in ("", _LOOPBACK) or scope.current().settings.udp == "direct":
        return
    _try(check)
    refusal.refuse_frame(interface)


def check(sock: Socket, call: Callable[[], object]) -> None:
    """Before a refusal, raise what the stdlib says of arguments (as `call` has it) and of a closed socket."""
    _try(call)
    if _real.fileno(sock) < 0:
        raise OSError(EBADF, os.strerror(EBADF))


def _try(call: Callable[[], object]) -> None:
    try:
        call()
    except OSError:  # it is no socket, which is not what was asked
        pass


def _guard(sock: Socket) -> None:
    key = id(sock)
    _guards.put_on(sock)
    _guarded[key] = weak_reference(sock, lambda _: _guarded.pop(key, None)), scope.entered()


def _members(cls: type) -> Members:
    return {name: _guarded_method(cls, name) for name in ("send", "sendall", "sendmsg")}


def _guarded_method(cls: Any, name: str) -> Callable[..., Any]:
    def guarded(self: Socket, *args: Any, **kwargs: Any) -> Any:
        # sendmsg() to an address asks the rules itself.
        if name != "sendmsg" or len(args) < 4 or args[3] is None:
            _admit(self, lambda: getattr(_real.Socket, name)(NOWHERE, *args, **kwargs))
        return getattr(cls, name)(self, *args, **kwargs)

    return guarded


def _admit(sock: Socket, call: Callable[[], object]) -> None:
    """Refuse what a guarded object sends to its peer, unless that has become one to which it may send."""
    if _real.family(sock) == LINK:
        admit_frame(_real.getsockname(sock), call)
        return
    peer = _peer(sock)
    _, way = _guarded.get(id(sock), (None, scope.entered()))
    route = datagram_route.decide(scope.of(way).router, _real.family(sock), peer)
    if not isinstance(route, Direct):
        check(sock, call)
        refusal.refuse(sock, route, peer)
    release(sock)
    if route.address is not None:
        _real.connect(sock, _real.SockAddress(route.address))


def _is_mute(sock: Socket) -> bool:
    try:
        return not isinstance(datagram_route.decide(scope.current().router, _real.family(sock), _peer(sock)), Direct)
    except gaierror:  # which is told when something is sent
        return True


def _peer(sock: Socket) -> Any:
    """Whom the kernel's socket is connected to, None if it is not."""
    try:
        host, port, *rest = _real.getpeername(sock)
    except OSError:
        return None
    # The rules are asked what connect() asked them, or one about ports would open what another has closed.
    return (host, 0 if port == _LAST_PORT else port, *rest)


_guards = Disguise(_members)
