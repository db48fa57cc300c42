"""Strict: an audit hook refuses network access from Python that does not use our replacements.

CPython calls an audit hook (PEP 578) for each new socket, each address that is connected to, sent to or bound to, and
each look-up. The hook knows our own sockets and addresses by their types. For all others the rules decide a second
time: a direct connection may pass. If the hook sees a connection that should go through a proxy, the connection was
made by a `_socket.socket`, by an original function that was saved before install(), or by a C extension.

An audit event comes after the name in an address has been resolved. Subinterpreters, C code, and functions of libc that
ctypes calls, cause no events.
"""

from __future__ import annotations

import _socket
import sys
from socket import AF_INET, SOCK_STREAM

from socksify import _originals
from socksify.config.errors import ConfigError
from socksify.patches import c_libraries, scope
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
# socket(fileno=) does not know the family yet.
_UNKNOWN = -1
_AF_PACKET = 17
_COVERED = (*_IP, _AF_PACKET, _UNKNOWN)
_METHODS = "call socket.socket's methods, not originals saved before install(), or route it direct"
_FUNCTIONS = "call the socket module's functions, not originals saved before install(), or route it direct"


class _AuditHook:
    """The audit hook of this process. A hook cannot be removed, so it is added once.

    `checks` maps the name of an event to a function that checks the event's arguments and raises an exception. It is
    empty while strict is off.
    """

    def __init__(self) -> None:
        self.checks: dict[str, Callable[..., None]] = {}
        self._is_added = False

    def listen(self) -> None:
        """Add the hook, unless it was added. Raises ConfigError if a hook of another tool has silently refused it."""
        if self._is_added:
            return
        events: list[str] = []
        self.checks["socksify.listen"] = lambda: events.append("socksify.listen")
        sys.addaudithook(self._function())
        sys.audit("socksify.listen")
        self.checks.clear()
        if not events:
            raise ConfigError("strict: another audit hook of this process does not let ours in")
        self._is_added = True

    def _function(self) -> Callable[[str, tuple[Any, ...]], None]:
        # The hook is called for every event. At exit the module's names are cleared, but the default stays.
        def check_event(
            event: str, args: tuple[Any, ...], find: Callable[[str], Callable[..., None] | None] = self.checks.get
        ) -> None:
            check = find(event)
            if check is not None:
                check(*args)

        return check_event


_HOOK = _AuditHook()


def listen() -> None:
    """Prepare for enforce(). Raises ConfigError if the audit hook cannot be added."""
    _HOOK.listen()


def enforce(journal: Journal) -> None:
    """Refuse network access that bypasses the patches, until the journal is undone. Call listen() before."""
    _HOOK.checks.update(_CHECKS)
    journal.on_undo(_HOOK.checks.clear)


def _made(sock: object, family: int, *_: int) -> None:
    cls = type(sock)
    if family in _COVERED and not issubclass(cls, (*other_classes.covered, _originals.Socket)):
        _refuse(f"a socket of {cls.__module__}.{cls.__qualname__}", "use socket.socket")


def _connected(sock: Any, address: SockAddress) -> None:
    # connect(2) of a datagram socket sends nothing. But there is no event for what send() sends afterwards.
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


def _reverse_looked_up(host: Any) -> None:
    """gethostbyaddr() takes an address, or a name, whose address it looks up first."""
    parsed = host_and_port(AF_INET, (host, 0))
    number = numeric(parsed[0]) if parsed is not None else None
    if number is None:
        _looked_up(host)
    elif type(host) is not _originals.InternalHost and not scope.current().lookups.may_ask(number):
        _refuse(f"looking up {number}", _FUNCTIONS)


def _named(address: SockAddress) -> None:
    """getnameinfo() takes an address only."""
    if type(address) is not _originals.InternalAddress:
        _reverse_looked_up(address[0])


def _library_loaded(name: object) -> None:
    """ctypes loads a library, also by functions of `_ctypes`."""
    c_libraries.check(scope.current().settings, name)


def _is_ours(sock: Any, address: SockAddress) -> bool:
    return type(sock) is _originals.Socket or type(address) is _originals.InternalAddress


def _may_go(sock: Any) -> bool:
    return scope.current().settings.udp == "direct" and _originals.kind(sock) != SOCK_STREAM


def _check_route(sock: Any, address: SockAddress, doing: str) -> None:
    """Refuse an address that is not direct: our replacements would have used a proxy or blocked it."""
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
        # The traceback has this frame. Without this line the frame has the error, which is a reference cycle.
        del error


_CHECKS: dict[str, Callable[..., None]] = {
    "socket.__new__": _made,
    "socket.connect": _connected,
    "socket.sendto": _sent,
    "socket.sendmsg": _sent,
    "socket.bind": _bound,
    "socket.getaddrinfo": _looked_up,
    "socket.gethostbyname": _looked_up,
    "socket.gethostbyaddr": _reverse_looked_up,
    "socket.getnameinfo": _named,
    "ctypes.dlopen": _library_loaded,
}
