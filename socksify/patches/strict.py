"""What strict refuses: whatever reaches the network from Python and did not come through our replacements.

CPython tells an audit hook (PEP 578) of each socket that is made, each address that is connected, sent or bound to,
and each look-up. Those of our own making are known by their type; of all others the rules decide a second time:
what is direct may pass whoever asks, what belongs to the proxy comes from a `_socket.socket`, from a saved original
or from a C extension. A hook cannot be removed again, so there is one for each process, and a dict that is empty
while strict is off.

It is told of an address after the name in it has been resolved, and of nothing in a subinterpreter, in ctypes or in C.
"""

from __future__ import annotations

import _socket
import sys
from socket import AF_INET, SOCK_STREAM

from socksify import _originals
from socksify.config.errors import ConfigError
from socksify.patches import scope
from socksify.patches.sockets import other_classes
from socksify.routing import log
from socksify.routing.route import Direct
from socksify.routing.sockaddr import host_and_port, numeric
from socksify.tunnel import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from socksify.patches.journal import Journal
    from socksify.routing.sockaddr import SockAddress

_IP = tuple(
    int(getattr(_socket, name)) for name in ("AF_INET", "AF_INET6", "AF_RDS", "AF_DIVERT") if hasattr(_socket, name)
)
# socket(fileno=) does not know yet what it is given.
_UNKNOWN = -1
_AF_PACKET = 17
_COVERED = (*_IP, _AF_PACKET, _UNKNOWN)
_METHODS = "call socket.socket's methods, not originals saved before install(), or route it direct"
_FUNCTIONS = "call the socket module's functions, not originals saved before install(), or route it direct"


def enforce(journal: Journal) -> None:
    """Refuse, from now on and until the journal is undone; after listen()."""
    _checks.update(_CHECKS)
    journal.on_undo(_checks.clear)


# Event -> what looks at its arguments, and raises. Empty while strict is off.
_checks: dict[str, Callable[..., None]] = {}
_is_listening = False


def listen() -> None:
    """Add the hook, once; raises ConfigError where it cannot be. A hook of somebody else's may forbid it, silently."""
    global _is_listening
    if _is_listening:
        return
    heard: list[str] = []
    _checks["socksify.listen"] = lambda: heard.append("it")
    sys.addaudithook(_hook)
    sys.audit("socksify.listen")
    _checks.clear()
    if not heard:
        raise ConfigError("strict: another audit hook of this process does not let ours in")
    _is_listening = True


# It is called for everything that is audited. A default outlives the names of a module that is torn down.
def _hook(event: str, args: tuple[Any, ...], check: Callable[[str], Callable[..., None] | None] = _checks.get) -> None:
    look = check(event)
    if look is not None:
        look(*args)


def _made(sock: object, family: int, *_: int) -> None:
    cls = type(sock)
    if family in _COVERED and not issubclass(cls, (*other_classes.covered, _originals.Socket)):
        _refuse(f"a socket of {cls.__module__}.{cls.__qualname__}", "use socket.socket")


def _connected(sock: Any, address: SockAddress) -> None:
    # connect(2) of a datagram socket sends nothing, but nobody would hear of what is sent then.
    if not _is_ours(sock, address) and not _may_go(sock):
        _check_route(sock, address, "connecting to")


def _sent(sock: Any, address: SockAddress | None) -> None:
    if address is None or _is_ours(sock, address) or _may_go(sock):
        return
    if _originals.family(sock) == _AF_PACKET and address[0] not in ("", "lo"):
        _refuse(f"a frame for {address[0]}", _METHODS)
    _check_route(sock, address, "sending to")


def _bound(sock: Any, address: SockAddress) -> None:
    if not _is_ours(sock, address) and _originals.family(sock) in _IP:
        _looked_up(*address[:2])


def _looked_up(host: Any, port: object = None, *_: int) -> None:
    if isinstance(host, (str, bytes, bytearray)) and type(host) is not _originals.InternalHost:
        host = bytes(host) if isinstance(host, bytearray) else host
        if not scope.current().lookups.may_ask_for(host, port):
            _refuse(f"looking up {host!r}", _FUNCTIONS)


def _asked_whose(host: Any) -> None:
    """gethostbyaddr() takes an address, or a name whose address it looks up first."""
    parsed = host_and_port(AF_INET, (host, 0))
    number = numeric(parsed[0]) if parsed is not None else None
    if number is None:
        _looked_up(host)
    elif type(host) is not _originals.InternalHost and not scope.current().lookups.may_ask(number):
        _refuse(f"looking up {number}", _FUNCTIONS)


def _named(address: SockAddress) -> None:
    """getnameinfo() takes no name."""
    if type(address) is not _originals.InternalAddress:
        _asked_whose(address[0])


def _is_ours(sock: Any, address: SockAddress) -> bool:
    return type(sock) is _originals.Socket or type(address) is _originals.InternalAddress


def _may_go(sock: Any) -> bool:
    return scope.current().settings.udp == "direct" and _originals.kind(sock) != SOCK_STREAM


def _check_route(sock: Any, address: SockAddress, doing: str) -> None:
    """What is not direct would have gone to a proxy, or nowhere, if it had come through us."""
    route = scope.current().router.decide(_originals.family(sock), address)
    if not isinstance(route, Direct):
        because = f" (rule {route.rule.text!r})" if route.rule is not None else ""
        _refuse(f"{doing} {log.host_port(str(address[0]), address[1])}{because}", _METHODS)


def _refuse(what: str, instead: str) -> None:
    error = errors.forbidden(what, instead)
    log.line(f"{log.name}: {error.strerror}")
    try:
        raise error
    finally:
        # A traceback has this frame, which would have the error.
        del error


_CHECKS: dict[str, Callable[..., None]] = {
    "socket.__new__": _made,
    "socket.connect": _connected,
    "socket.sendto": _sent,
    "socket.sendmsg": _sent,
    "socket.bind": _bound,
    "socket.getaddrinfo": _looked_up,
    "socket.gethostbyname": _looked_up,
    "socket.gethostbyaddr": _asked_whose,
    "socket.getnameinfo": _named,
}
