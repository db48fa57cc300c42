"""Guards of sockets whose connect is pending: no byte of the client mixes with the bytes of the handshake.

`send` and `recv` are never patched on `socket.socket`. Every object on the pending kernel socket, however it was made,
is moved to a subclass of its own class (SubclassSwap) until the tunnel is settled. Without a guard, an object could
read a byte of the proxy's reply. Until then I/O fails as on a socket that is still connecting: with EAGAIN, or with
ENOTCONN where the kernel would return it. After a failure the guard stays until the failure has been reported: by
SO_ERROR, by connect(), or by the first call on which the kernel would have reported it.
"""

from __future__ import annotations

import os
import sys
from errno import EAGAIN
from socket import SHUT_RD, SHUT_RDWR, SHUT_WR, SO_ERROR, SOL_SOCKET

from socksify import _originals
from socksify._originals import monotonic
from socksify.patches import scope
from socksify.patches.guards import argument_checks
from socksify.patches.guards.subclass_swap import SubclassSwap
from socksify.tunnel import connect, errors, settlement
from socksify.tunnel.registry import registry
from socksify.tunnel.state import not_connected

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket as Socket
    from typing import Any

    from socksify.patches.guards.subclass_swap import Members
    from socksify.tunnel.state import Tunnel

_NAMES = (
    "send",
    "sendall",
    "sendmsg",
    "sendto",
    "recv",
    "recv_into",
    "recvfrom",
    "recvfrom_into",
    "recvmsg",
    "recvmsg_into",
)
# The methods that SSLSocket adds.
_TLS_NAMES = ("read", "write", "do_handshake", "unwrap")
# ssl does not try these before it has seen that the socket is connected.
_OF_THE_CONNECTED = ("do_handshake", "unwrap")


_DIRECTIONS = (SHUT_RD, SHUT_WR, SHUT_RDWR)

# Classes whose objects wait in an event loop, on non-blocking fds. The function waits for a socket. It returns False if
# the socket may not wait.
waits: dict[type, Callable[[Any], bool]] = {}


def guard(tunnel: Tunnel) -> None:
    """Guard every object that holds a pending tunnel, until it is open or its failure has been reported.

    The caller has to make `settled` an observer of the tunnel.
    """
    for sock in tunnel.objects():
        guard_object(sock)
    if tunnel.handshake is None:  # settled by another thread meanwhile
        settled(tunnel)


def guard_object(sock: Socket) -> None:
    """Guard one more object."""
    _guards.apply(sock)


def check_io(fd: int) -> None:
    """Check I/O on an fd in C, as the guarded methods do. Raises OSError if the fd may not be used yet."""
    tunnel = registry.unsettled_at(fd) if registry.unsettled else None
    sock = tunnel.holder() if tunnel is not None else None
    if tunnel is not None and sock is not None:
        _pass(sock, tunnel, "send")


def reported_failure(tunnel: Tunnel) -> OSError:
    """Return the failure of a tunnel, which is thereby reported. As with SO_ERROR, this happens once."""
    return errors.to_raise(tunnel.take_report() or not_connected())


def settled(tunnel: Tunnel) -> None:
    """Observe a tunnel: its objects lose their guards when it is open, or when its failure has been reported."""
    if tunnel.report is None:
        _unguard(tunnel)


def _unguard(tunnel: Tunnel) -> None:
    for sock in tunnel.objects():
        unguard_object(sock)


def unguard_object(sock: Socket) -> None:
    """Give one object back its own class."""
    _guards.restore(sock)


def _members(cls: type) -> Members:
    tls = hasattr(cls, "do_handshake")
    members: Members = {name: _method(name) for name in _NAMES + (_TLS_NAMES if tls else ())}
    members["__reduce_ex__"] = _reduce_ex
    return {**members, "getsockopt": _getsockopt(cls), "sendfile": _sendfile(cls), "shutdown": _shutdown(cls)}


def _method(name: str) -> Callable[..., Any]:
    def guarded(self: Socket, *args: Any, **kwargs: Any) -> Any:
        tunnel = registry.find(self)
        if tunnel is not None:
            if tunnel.handshake is not None and (answer := argument_checks.answered(self, name, args, kwargs)):
                return answer[0]
            _pass(self, tunnel, name)
        unguard_object(self)
        return getattr(self, name)(*args, **kwargs)

    return guarded


def _pass(sock: Socket, tunnel: Tunnel, name: str) -> None:
    """Let a call through to the kernel if the tunnel is open; else raise the error that the kernel would return."""
    if tunnel.listener is not None:
        raise not_connected()
    if tunnel.handshake is not None:
        _push(sock, tunnel)
    if tunnel.handshake is not None:
        raise _still_connecting(sock, name)
    if tunnel.error is not None:
        raise reported_failure(tunnel) if tunnel.report is not None else not_connected()


def _still_connecting(sock: Any, name: str) -> OSError:
    """Return the exception for a socket that is still connecting: EAGAIN, or on a TLS socket that of ssl."""
    if not hasattr(sock, "do_handshake"):
        return BlockingIOError(EAGAIN, os.strerror(EAGAIN))
    if sock._sslobj is None or name in _OF_THE_CONNECTED:
        # ssl checks whether a socket is connected, and accepts no error but ENOTCONN.
        return not_connected()
    return wants_write()


def wants_write() -> OSError:
    """Return the exception into which ssl turns EAGAIN."""
    from ssl import SSL_ERROR_WANT_WRITE, SSLWantWriteError

    return SSLWantWriteError(SSL_ERROR_WANT_WRITE, "The operation did not complete (write)")


def _push(sock: Socket, tunnel: Tunnel) -> None:
    """Advance the connect, for clients that try again instead of polling. A blocking call waits for its end."""
    if not wait(sock, tunnel):
        connect.advance(tunnel)
        connect.expire(tunnel, monotonic())
    elif tunnel.handshake is not None and _originals.gettimeout(sock) is not None:
        raise TimeoutError("timed out")


def wait(sock: Socket, tunnel: Tunnel) -> bool:
    """Wait for the end of a connect, for as long as a call on the socket may wait; False if it may not wait."""
    by_loop = waits.get(_guards.own_class(sock))
    if by_loop is not None:
        return by_loop(sock)
    timeout = _originals.gettimeout(sock)
    if timeout == 0 or (timeout is None and not _is_blocking(sock, tunnel)):
        return False
    connect.wait_for(tunnel, timeout)
    return True


def _is_blocking(sock: Socket, tunnel: Tunnel) -> bool:
    """Return True if the client uses the fd as a blocking one.

    An object that was made from a non-blocking fd does not know that its fd is non-blocking. While a connect() waits,
    its fd is non-blocking, too.
    """
    handshake = tunnel.handshake
    return (handshake is not None and handshake.unblocked) or os.get_blocking(_originals.fileno(sock))


def _reduce_ex(self: Socket, protocol: Any, /) -> Any:
    """Wait for the connect before multiprocessing sends the socket: another process cannot go on with a handshake.

    The wait is as long as that of a getsockopt(SO_ERROR). After a failure the socket is sent as it is.
    """
    pickler = sys._getframe(1).f_globals.get("ForkingPickler")
    reduce = getattr(pickler, "_extra_reducers", {}).get(_guards.own_class(self))
    if reduce is None:
        # pickle and copy refuse every socket.
        return object.__reduce_ex__(self, protocol)
    tunnel = registry.find(self)
    if tunnel is not None and tunnel.listener is None and tunnel.handshake is not None:
        connect.wait_for(tunnel, scope.current().settings.c_watcher_timeout)
        if tunnel.handshake is not None:
            raise BlockingIOError(
                EAGAIN, "the connection through the proxy is not there yet; send the socket when it is"
            )
    unguard_object(self)
    return reduce(self)


def _sendfile(cls: Any) -> Callable[..., Any]:
    """Return sendfile() with a guard: it calls os.sendfile(), which uses no method of the socket.

    On a non-blocking socket the original refuses to work.
    """

    def sendfile(self: Socket, *args: Any, **kwargs: Any) -> Any:
        tunnel = registry.find(self)
        if tunnel is not None and _originals.gettimeout(self) != 0:
            _pass(self, tunnel, "sendfile")
        return cls.sendfile(self, *args, **kwargs)

    return sendfile


def _shutdown(cls: Any) -> Callable[..., Any]:
    """Return shutdown() with a guard: it ends a pending connect, in each direction. SO_ERROR is then ECONNRESET."""

    def shutdown(self: Socket, how: int, /) -> None:
        tunnel = registry.find(self)
        if tunnel is not None and tunnel.handshake is not None and tunnel.listener is None and how in _DIRECTIONS:
            settlement.shut(self, tunnel)
        else:
            cls.shutdown(self, how)

    return shutdown


def _getsockopt(cls: Any) -> Callable[..., Any]:
    """Return getsockopt() with a guard: SO_ERROR reports a failure even after uninstall()."""

    def getsockopt(self: Socket, level: int, optname: int, *buflen: int) -> Any:
        tunnel = registry.find(self) if level == SOL_SOCKET and optname == SO_ERROR else None
        if tunnel is not None and tunnel.report is not None:
            return (
                argument_checks.outcome_as(reported_failure(tunnel).errno or 0, *buflen)
                if buflen
                else reported_failure(tunnel).errno
            )
        return cls.getsockopt(self, level, optname, *buflen)

    return getsockopt


_guards = SubclassSwap(_members)
