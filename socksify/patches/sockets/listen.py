"""bind, listen, accept and getsockname: they decide which sockets listen at the proxy, and hide this from the client.

With `bind="auto"` local servers stay local. A socket listens through the proxy in two cases: it is bound to an address
that only the proxy has, or it is bound to the wildcard by a thread that is connected to a service that calls back. With
`bind="always"`, the rule of the original package, it is enough that a connection was made before.
"""

from __future__ import annotations

import os
import socket as _module
from errno import EADDRNOTAVAIL, EINVAL
from socket import AF_INET, AF_INET6, SOCK_STREAM

from socksify import _originals
from socksify._signal_safety import ours
from socksify.patches import scope
from socksify.patches.guards import datagrams, pending
from socksify.patches.guards.datagrams import NOWHERE
from socksify.patches.journal import Replacement
from socksify.routing.sockaddr import numeric
from socksify.tunnel import external_addresses, readiness
from socksify.tunnel.bind import accept
from socksify.tunnel.bind import listener as bind_listener
from socksify.tunnel.registry import registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket as Socket
    from typing import Any

    from socksify.config.settings import Settings
    from socksify.tunnel.state import BindListener, Tunnel

_WILDCARDS = ("0.0.0.0", "::")
# The forms in which bind() accepts the wildcard.
_ANYWHERE = ("", *_WILDCARDS)
# rcmd(3) binds its second channel to a reserved port. FTP never does.
_RESERVED, _FTP = range(512, 1024), 21


def configure(settings: Settings) -> None:
    """Set the ports of connections that are remembered because their peers may call back."""
    ports = {"auto": frozenset(settings.bind_services), "always": None, "never": frozenset[int]()}
    registry.control_connections.call_from(ports[settings.bind])


def _bind(self: Socket, address: Any, /) -> None:
    tunnel = registry.find(self) if registry.by_fd else None
    if tunnel is not None and tunnel.listener is not None:
        raise OSError(EINVAL, os.strerror(EINVAL))
    bindable = scope.current().lookups.bindable(_originals.family(self), address)
    try:
        _originals.bind(self, bindable)
    except ours(OSError) as error:
        if error.errno == EADDRNOTAVAIL and _bind_outside(self, address):
            return
        raise
    if _is_stream(self) and (address[1] or bindable[0] not in _ANYWHERE):
        registry.bound_to(self, bindable)
    if registry.control_connections.are_there():
        _bind_inside(self, address)


def _bind_outside(sock: Socket, address: Any) -> bool:
    """Bind to an address that this machine does not have. Return False if getsockname() never returned it either."""
    if not _may_listen(sock):
        return False
    given = address[0]
    host = numeric(given if isinstance(given, str) else bytes(given).decode("latin-1"))
    known = registry.known_at(host) if host is not None else []
    own = [tunnel for tunnel in registry.control_connections.in_this_thread() if tunnel in known]
    if not known:
        return False
    if address[1] in _RESERVED:
        # A proxy that grants reserved ports checks the source port of the request.
        _originals.bind(sock, ("", address[1]))
    _register(sock, own or known[-1:], address[1], early=True)
    return True


def _bind_inside(sock: Socket, address: Any) -> None:
    """Remember a socket that was bound on this machine, if it is to listen at the proxy."""
    if not _may_listen(sock):
        return
    host = _originals.getsockname(sock)[0]
    if scope.current().settings.bind == "always":
        if not _is_loopback(host):
            _register(sock, _latest_caller(), address[1], early=True)
    elif host in _WILDCARDS:
        _register(
            sock,
            [caller for caller in registry.control_connections.in_this_thread() if _calls(caller, address[1])],
            address[1],
        )


def _register(sock: Socket, calling: list[Tunnel], port: int, *, early: bool = False) -> Tunnel | None:
    if not calling:
        return None
    limit = scope.current().settings.connect_timeout
    asked = bind_listener.listener_for(calling, _originals.family(sock), port, limit, early)
    return bind_listener.register(sock, asked)


def _calls(caller: Tunnel, port: int) -> bool:
    """Return True if a service may call a listener on this port. rsh calls reserved ports, others call free ports."""
    return port == 0 or (port in _RESERVED and caller.route.target.port != _FTP)


def _latest_caller() -> list[Tunnel]:
    """Return a list with the latest connection, if any. The original package knew "the host of the last connect"."""
    return (registry.control_connections.in_this_thread() or registry.control_connections.anywhere())[-1:]


def _may_listen(sock: Socket) -> bool:
    return scope.current().settings.bind != "never" and _is_stream(sock)


def _is_stream(sock: Socket) -> bool:
    return _originals.kind(sock) == SOCK_STREAM and _originals.family(sock) in (AF_INET, AF_INET6)


def _is_loopback(host: str) -> bool:
    plain = numeric(host) or host
    return plain.startswith("127.") or plain == "::1"


def _listen(self: Socket, *backlog: int) -> None:
    tunnel = registry.find(self) if registry.by_fd else None
    if tunnel is None and registry.control_connections.are_there():
        tunnel = _unbound(self)
    if tunnel is not None and tunnel.listener is not None:
        datagrams.check(self, lambda: _originals.listen(NOWHERE, *backlog))
        if _listen_outside(self, tunnel, tunnel.listener):
            return
    _originals.listen(self, *backlog)


def _unbound(sock: Socket) -> Tunnel | None:
    """Register a socket that listens without bind(): it takes a free port of the wildcard."""
    if not _may_listen(sock) or _originals.getsockname(sock)[1] != 0:
        return None
    always = scope.current().settings.bind == "always"
    return _register(sock, _latest_caller() if always else registry.control_connections.in_this_thread(), 0)


def _listen_outside(sock: Socket, tunnel: Tunnel, asked: BindListener) -> bool:
    """Make the proxy listen. Return False if no service that could call is connected any more."""
    if not asked.listens and not any(caller.is_open and caller.is_somewhere() for caller in asked.connections):
        registry.drop(_originals.fileno(sock), tunnel)
        return False
    _ask(sock, tunnel, asked)
    return True


def _ask(sock: Socket, tunnel: Tunnel, asked: BindListener) -> None:
    pending.guard_object(sock)
    try:
        bind_listener.ask(sock, tunnel, asked)
    finally:
        if not asked.listens:
            pending.unguard_object(sock)


def _accept(self: Socket) -> tuple[Socket, Any]:
    """Do as the stdlib's accept() does, and advance pending connects while it waits.

    A thread may wait here until its own non-blocking connect arrives.
    """
    if registry.unsettled:
        tunnel = registry.find(self)
        if tunnel is not None and tunnel.listener is not None:
            return _accept_outside(self)
        readiness.wait_readable(self.fileno(), self.gettimeout())
    fd, address = self._accept()  # type: ignore[attr-defined]
    # A socket that was just accepted has no tunnel, so our __init__(), which looks for one, is not called.
    sock = _originals.PythonSocket.__new__(_originals.PythonSocket)
    _originals.init(sock, self.family, self.type, self.proto, fileno=fd)
    return _with_timeout(sock, self), address


def _accept_outside(listener: Socket) -> tuple[Socket, Any]:
    connection, tunnel = accept.accept(listener)
    sock = _object(listener, connection)
    registry.add(sock, tunnel)
    return sock, tunnel.route.peer


def accept_fd(self: Socket) -> tuple[int, Any]:
    """Do as _accept() does: return fd and address, for a class that makes the object itself."""
    tunnel = registry.find(self) if registry.unsettled else None
    if tunnel is None or tunnel.listener is None:
        return _originals.accept_plain(self)
    connection, tunnel = accept.accept(self)
    fd = connection.detach()
    registry.add_fd(fd, tunnel)
    return fd, tunnel.route.peer


def _object(listener: Socket, connection: _originals.Socket) -> Socket:
    """Make the socket that accept() returns. One bytecode moves the descriptor from one object to the other."""
    sock = _originals.PythonSocket.__new__(_originals.PythonSocket)
    numbers = iter(connection.detach, None)
    next(map(_originals.init_plain, (sock,), (listener.family,), (listener.type,), (listener.proto,), numbers))
    sock._io_refs = 0  # type: ignore[attr-defined]
    sock._closed = False  # type: ignore[attr-defined]
    return _with_timeout(sock, listener)


def _with_timeout(sock: Socket, listener: Socket) -> Socket:
    if _module.getdefaulttimeout() is None and listener.gettimeout():
        sock.setblocking(True)
    return sock


def _getsockname(self: Socket, /) -> Any:
    name = _originals.getsockname(self)
    tunnel = registry.find(self) if registry.by_fd else None
    if tunnel is None:
        return name
    if tunnel.listener is not None:
        tunnel = _asked(self, tunnel, tunnel.listener)
    elif not tunnel.is_open:
        # The connection to the proxy may have another local port than the client has chosen.
        if type(name) is not tuple:
            return external_addresses.sockaddr(self.family, "", tunnel.chosen_port)
        return (name[0], tunnel.chosen_port, *name[2:]) if tunnel.chosen_port else name
    if tunnel is None:
        return name
    bound_port = tunnel.bound[1] if tunnel.bound is not None else 0
    port = tunnel.chosen_port or bound_port or (name[1] if type(name) is tuple else 0)
    return external_addresses.sockaddr(self.family, registry.external_addresses.host(tunnel), port)


def _asked(sock: Socket, tunnel: Tunnel, asked: BindListener) -> Tunnel | None:
    """Ask the proxy to listen, and return the tunnel, which knows the address. Return None if it is too early."""
    if not asked.listens and not asked.early:
        return None
    _ask(sock, tunnel, asked)
    return registry.find(sock)


def abandon() -> None:
    """End all listening at proxies, because socksify is uninstalled. Listeners of a parent process stay."""
    for tunnel in bind_listener.everyone():
        for sock in tunnel.objects():
            pending.unguard_object(sock)
        if tunnel.listens:
            bind_listener.end(tunnel)
        for fd in list(tunnel.holders):
            registry.drop(fd, tunnel)


REPLACEMENTS = (
    Replacement(_originals.PythonSocket, "bind", _bind),
    Replacement(_originals.PythonSocket, "listen", _listen),
    Replacement(_originals.PythonSocket, "accept", _accept),
    Replacement(_originals.PythonSocket, "getsockname", _getsockname),
)
