"""connect, connect_ex, getpeername and the options of a socket, as the client sees them.

For a socket with a tunnel, getpeername() returns the target. SO_ERROR returns the outcome of a non-blocking connect
once.
"""

from __future__ import annotations

import os
import socket as _module
import sys
from errno import EAGAIN, EALREADY, EINPROGRESS, EISCONN, ENOTCONN
from socket import SO_ERROR, SO_SNDTIMEO, SOCK_STREAM, SOL_SOCKET

from socksify import _originals
from socksify._originals import monotonic
from socksify._signal_safety import forks, ours
from socksify.patches import scope
from socksify.patches.guards import argument_checks, pending
from socksify.patches.journal import Replacement
from socksify.patches.sockets import datagrams, source_routes
from socksify.patches.sockets.source_routes import IP, IPV6
from socksify.routing import fake_addresses, log
from socksify.routing.route import Blocked, Via
from socksify.tunnel import connect, errors, readiness, socket_swap
from socksify.tunnel.apparent_peers import OPTIONS, apparent_peers
from socksify.tunnel.datagrams import TCP, is_tcp
from socksify.tunnel.registry import registry
from socksify.tunnel.state import not_connected

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket as Socket
    from typing import Any

    from socksify.config.rules import Rule
    from socksify.routing.sockaddr import SockAddress
    from socksify.tunnel.state import Tunnel

# struct timeval, in bytes.
_TIMEVAL = 16


class _SendTimeouts:
    """Notes if SO_SNDTIMEO was ever set in this process. If not, connect() does not read the option."""

    def __init__(self) -> None:
        self.are_there = False

    def note(self) -> None:
        self.are_there = True


_send_timeouts = _SendTimeouts()


def _connect(self: Socket, address: SockAddress, /) -> None:
    before = forks()
    # fromfd() may be given a wrong type. The kernel knows the right one.
    if (_originals.kind(self) != SOCK_STREAM or _originals.protocol(self) not in TCP) and not is_tcp(self):
        datagrams.connect(self, address)
        return
    tunnel = registry.find(self) if registry.by_fd else None
    if tunnel is not None:
        argument_checks.check_address(self, address)
        _connect_again(self, tunnel)
    here = scope.current()
    route = here.router.decide(_originals.family(self), address)
    if isinstance(route, Via):
        _connect_via(self, route, before)
    elif isinstance(route, Blocked):
        log.denied(address, route.why)
        raise errors.denied(route.why, address)
    else:
        here.claim(self)
        # The supervisor of a seal logs the connection itself.
        if log.is_open() and route.rule is not None and not fake_addresses.TABLE.is_supervised:
            _connect_logged(self, route.address or address, route.rule)
        else:
            _originals.connect(self, route.address or address)


def _connect_ex(self: Socket, address: SockAddress, /) -> int:
    try:
        _connect(self, address)
    except (_module.gaierror, _module.herror):
        raise
    except ours(TypeError, OverflowError) as error:
        # The stdlib's message about a malformed address contains the name of the method.
        raise type(error)(str(error).replace("connect()", "connect_ex()")) from None
    except ours(TimeoutError) as error:
        # For a timeout of the socket itself the stdlib returns EAGAIN. A timeout that a proxy reports is ETIMEDOUT.
        return (
            EAGAIN if getattr(error, "reply", None) is None and _originals.gettimeout(self) else error.errno or EAGAIN
        )
    except ours(OSError) as error:
        if error.errno is None:
            raise
        return error.errno
    return 0


def _connect_via(sock: Socket, route: Via, before: int) -> None:
    settings = scope.current().settings
    if settings.isolate != "none":
        from socksify.routing.stream_isolation import isolated

        route = isolated(route, settings.isolate)
    # The frame is not kept in a local variable, because it would refer to itself and keep the socket alive.
    tunnel = connect.start(sock, route, settings.connect_timeout, _begun, pending.settled, sys._getframe(), before)
    handshake = tunnel.handshake
    if handshake is not None and not handshake.waits:
        # An exception here, by a signal handler, leaves a pending tunnel whose connect() has ended.
        readiness.hand_to_pollers(_originals.fileno(sock), tunnel)
        raise OSError(EINPROGRESS, os.strerror(EINPROGRESS))
    connect.finish(tunnel, _send_timeout(sock))
    if handshake is not None and tunnel.handshake is handshake:
        # socket(7), SO_SNDTIMEO: after the time, connect(2) behaves as on a non-blocking socket.
        handshake.stop_waiting()
        readiness.hand_to_pollers(_originals.fileno(sock), tunnel)
        raise OSError(EINPROGRESS, os.strerror(EINPROGRESS))
    if tunnel.error is not None:
        raise errors.to_raise(tunnel.error)


def _send_timeout(sock: Socket) -> float | None:
    """Return the seconds for which the kernel lets connect(2) wait on a blocking socket; None if there is no limit."""
    if not _send_timeouts.are_there or _originals.gettimeout(sock) is not None:
        return None
    # struct timeval: seconds and microseconds.
    timeval = _originals.getsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, _TIMEVAL)
    half = len(timeval) // 2
    seconds, microseconds = (int.from_bytes(part, sys.byteorder) for part in (timeval[:half], timeval[half:]))
    return seconds + microseconds / 1e6 or None


def _begun(tunnel: Tunnel) -> None:
    pending.guard(tunnel)
    registry.control_connections.note(tunnel)


def _connect_again(sock: Socket, tunnel: Tunnel) -> None:
    """Handle another connect() on a socket that has a tunnel: raise, unless the socket is free for a new tunnel.

    While the tunnel is pending, this raises EALREADY. Afterwards it raises the outcome once: EISCONN, or the error.
    After an error the socket may connect again. A socket that was bound to listen at the proxy, but does not listen
    yet, may connect instead.
    """
    if tunnel.listener is not None and not tunnel.listens:
        registry.drop(sock.fileno(), tunnel)
        return
    if tunnel.handshake is not None:
        connect.advance(tunnel)
    if tunnel.handshake is not None:
        raise OSError(EALREADY, os.strerror(EALREADY))
    if tunnel.report is not None and not tunnel.is_shut:
        raise pending.reported_failure(tunnel)
    if tunnel.error is None and _is_connected(sock):
        raise OSError(EISCONN, os.strerror(EISCONN))
    # The order matters: if a signal handler raises in between, the next connect() repeats these steps.
    socket_swap.restore_family(sock, tunnel)
    # The socket keeps the address that the client has chosen.
    socket_swap.bind(sock, registry.chosen_address(sock))
    registry.drop(_originals.fileno(sock), tunnel)


def _is_connected(sock: Socket) -> bool:
    try:
        _originals.getpeername(sock)
    except ours(OSError) as error:
        return error.errno != ENOTCONN
    return True


def _connect_logged(sock: Socket, address: SockAddress, rule: Rule) -> None:
    started = monotonic()
    try:
        _originals.connect(sock, address)
    except ours(OSError) as error:
        log.direct(address, rule.text, started, error)
        raise
    log.direct(address, rule.text, started, None)


def _getpeername(self: Socket, /) -> Any:
    tunnel = registry.find(self) if registry.by_fd else None
    if tunnel is None:
        return _originals.getpeername(self) if not apparent_peers.known else _peer_in_appearance(self)
    handshake = tunnel.handshake
    if handshake is not None and not handshake.waits:
        # The server may have accepted the connection already, and the client may expect to be connected.
        pending.wait(self, tunnel)
    if not tunnel.is_open:
        raise not_connected()
    # The kernel knows whether the socket is still connected, and raises if not.
    _originals.getpeername(self)
    return tunnel.route.peer


def _peer_in_appearance(sock: Socket) -> Any:
    """Return the peer of a socket that may be a datagram socket, connected in appearance only."""
    try:
        return _originals.getpeername(sock)
    except ours(OSError):
        known = apparent_peers.find(sock)
        if known is None or known.name is None:
            raise
        return known.name


def _getsockopt(self: Socket, level: int, optname: int, buflen: int = 0, /) -> Any:
    tunnel = registry.find(self) if registry.by_fd else None
    if tunnel is None:
        if apparent_peers.known and (level, optname) in OPTIONS:
            known = apparent_peers.option(self, level, optname, buflen)
            if known is not None:
                return known
        return (
            _originals.getsockopt(self, level, optname)
            if buflen == 0
            else _originals.getsockopt(self, level, optname, buflen)
        )
    if level == SOL_SOCKET and optname == SO_ERROR:
        return argument_checks.outcome_as(_outcome(self, tunnel), buflen)
    stored = socket_swap.stored_option(tunnel, level, optname, buflen)
    if stored is not None:
        return stored
    return (
        _originals.getsockopt(self, level, optname)
        if buflen == 0
        else _originals.getsockopt(self, level, optname, buflen)
    )


def _outcome(sock: Socket, tunnel: Tunnel) -> int:
    """Return SO_ERROR of a non-blocking connect: 0 while it is pending or open; after a failure its errno, once.

    A watcher in C sees only the kernel's socket, and reads SO_ERROR too early. Then this call finishes the handshake.
    """
    handshake = tunnel.handshake
    if handshake is not None and not handshake.polled and not handshake.waits:
        log.line(f"{log.name}: SO_ERROR asked for before any poll; waiting for {log.text(tunnel.route.target)}")
        connect.wait_for(tunnel, scope.current().settings.c_watcher_timeout)
    if tunnel.report is not None:
        return pending.reported_failure(tunnel).errno or 0
    if not tunnel.is_open:
        return 0
    return int(_originals.getsockopt(sock, SOL_SOCKET, SO_ERROR))


def _setsockopt(self: Socket, /, *options: Any) -> None:
    # The C method refuses a wrong number of arguments, or a value of another type, with its own messages.
    if len(options) == 3 and registry.by_fd and isinstance(options[2], (int, bytes, bytearray, memoryview)):
        tunnel = registry.find(self)
        if tunnel is not None and socket_swap.store_option(self, tunnel, *options):
            return
    if len(options) in (3, 4):
        if options[:2] == (SOL_SOCKET, SO_SNDTIMEO):
            _send_timeouts.note()
        if options[0] in (IP, IPV6):
            source_routes.admit_option(self, *options[:3])
        if apparent_peers.known and options[:2] in OPTIONS and apparent_peers.set_option(self, options):
            return
    _originals.setsockopt(self, *options)


REPLACEMENTS = (
    Replacement(_originals.PythonSocket, "connect", _connect),
    Replacement(_originals.PythonSocket, "connect_ex", _connect_ex),
    Replacement(_originals.PythonSocket, "getpeername", _getpeername),
    Replacement(_originals.PythonSocket, "getsockopt", _getsockopt),
    Replacement(_originals.PythonSocket, "setsockopt", _setsockopt),
)
