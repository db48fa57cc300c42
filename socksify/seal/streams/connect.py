"""Answers connect(2): which way a socket of the tree is connected.

No connect(2) of an internet socket is left to the kernel, not even a direct one. Otherwise a program could change the
address in its memory after it was checked, and Landlock denies the tree such calls anyway.
"""

from __future__ import annotations

import os
from errno import ECONNREFUSED, EINPROGRESS, EINVAL, ENETUNREACH, EPERM
from socket import (
    AF_INET,
    AF_INET6,
    AF_UNIX,
    AF_UNSPEC,
    IPPROTO_IPV6,
    IPPROTO_TCP,
    IPV6_V6ONLY,
    SO_BINDTODEVICE,
    SO_ERROR,
    SOCK_DGRAM,
    SOCK_STREAM,
    SOL_SOCKET,
    TCP_INFO,
)

from socksify._originals import monotonic
from socksify.config.rules import PROXY_ITSELF
from socksify.routing import log
from socksify.routing.hosts_file import is_loopback
from socksify.routing.route import Direct, Via
from socksify.routing.sockaddr import numeric
from socksify.seal.kernel import raw_sockaddr
from socksify.seal.kernel.libc import connect_raw
from socksify.seal.kernel.raw_sockaddr import is_mapped
from socksify.seal.streams.connections import WaitingCalls
from socksify.seal.streams.held_connect import HeldConnect
from socksify.seal.streams.own_connect import OwnConnect, connect_directly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from socksify import _originals
    from socksify.routing.sockaddr import SockAddress
    from socksify.seal.kernel.listener import Listener
    from socksify.seal.kernel.target import Target
    from socksify.seal.streams.connections import Connections
    from socksify.seal.streams.held_connect import HeldConnects
    from socksify.seal.streams.routes import Routes
    from socksify.server.core.loop import Loop

# IFNAMSIZ of <net/if.h>
_DEVICE = 16
# <linux/tcp.h>; the first byte of struct tcp_info is the state.
_FASTOPEN_CONNECT = 30
_CLOSE = b"\x07"
# connect(2) takes them for the loopback address.
_UNSPECIFIED = ("0.0.0.0", "::")
# Services that resolve names for other programs. A program that finds none of them asks a name server.
_NAME_SERVICES = frozenset(
    (
        b"/run/nscd/socket",
        b"/var/run/nscd/socket",
        b"/run/systemd/resolve/io.systemd.Resolve",
        b"/var/run/systemd/resolve/io.systemd.Resolve",
        b"/run/avahi-daemon/socket",
        b"/var/run/avahi-daemon/socket",
    )
)


class ConnectHandler:
    """Answers connect(2) for one tree."""

    def __init__(
        self,
        loop: Loop,
        listener: Listener,
        target: Target,
        connections: Connections,
        held: HeldConnects,
        routes: Routes,
        connect_datagram: Callable[[int, int, _originals.Socket, int, bytes], None],
        expect_client: Callable[[_originals.Socket], None],
    ) -> None:
        """`connect_datagram` answers for a datagram socket: id, thread, socket, its inode, the address in memory.
        `expect_client` tells our name server of a socket that connects to it.
        """
        self._loop, self._listener, self._target, self._connections = loop, listener, target, connections
        self._held = held
        self._routes = routes
        self._connect_datagram = connect_datagram
        self._expect_client = expect_client

    def connect(self, id: int, thread: int, fd: int, address: int, length: int, *_: int) -> None:
        """Answer connect(2), now or when the connection is made. Raises OSError if the call fails at once."""
        size = length & 0xFFFFFFFF
        if size > raw_sockaddr.LONGEST:
            raise OSError(EINVAL, os.strerror(EINVAL))
        raw = self._target.read(thread, address, size)
        family = raw_sockaddr.family(raw)
        if family not in (AF_INET, AF_INET6, AF_UNSPEC):
            if family == AF_UNIX and raw_sockaddr.path(raw) in _NAME_SERVICES:
                raise OSError(ECONNREFUSED, os.strerror(ECONNREFUSED))
            self._listener.proceed(id)
            return
        sock = self._target.take_socket(thread, fd)
        is_ours = False
        try:
            if self._listener.is_valid(id):
                is_ours = self._connect(id, thread, fd, sock, raw)
        finally:
            if not is_ours:
                sock.close()

    def _connect(self, id: int, thread: int, fd: int, sock: _originals.Socket, raw: bytes) -> bool:
        """Connect a socket. Return True if it is still in use."""
        if sock.type == SOCK_DGRAM and sock.family in (AF_INET, AF_INET6):
            self._connect_datagram(id, thread, sock, os.fstat(sock.fileno()).st_ino, raw)
            return False
        if sock.family not in (AF_INET, AF_INET6):
            # The address is not one of the socket's family, and leads to no host.
            self._listener.answer(id, error=connect_raw(sock.fileno(), raw) if sock.family != AF_UNIX else EINVAL)
            return False
        if raw_sockaddr.family(raw) == AF_UNSPEC:
            self._disconnect(id, sock, raw)
            return False
        if sock.type != SOCK_STREAM or sock.proto != IPPROTO_TCP:
            raise OSError(EPERM, os.strerror(EPERM))
        inode = os.fstat(sock.fileno()).st_ino
        attempt = self._connections.attempt(inode)
        if attempt is not None:
            attempt.join(id, sock)
            return False
        failure = self._connections.take_failure(inode)
        if failure:
            sock.getsockopt(SOL_SOCKET, SO_ERROR)
            raise OSError(failure, os.strerror(failure))
        return self._begin(id, (inode, thread, fd), sock, raw)

    def _disconnect(self, id: int, sock: _originals.Socket, raw: bytes) -> None:
        """Carry out connect(2) to AF_UNSPEC: it ends a connection, and a pending connect(2)."""
        inode = os.fstat(sock.fileno()).st_ino
        attempt = self._connections.attempt(inode)
        if attempt is None:
            self._connections.forget(inode)
        else:
            attempt.cancel()
        self._listener.answer(id, error=connect_raw(sock.fileno(), raw))

    def _begin(self, id: int, place: tuple[int, int, int], sock: _originals.Socket, raw: bytes) -> bool:
        address = raw_sockaddr.parse(raw, sock.family)
        if is_mapped(address[0]) and sock.getsockopt(IPPROTO_IPV6, IPV6_V6ONLY):
            raise OSError(ENETUNREACH, os.strerror(ENETUNREACH))
        route, settings = self._routes.decide(place[1], place[0], sock.family, address)
        if isinstance(route, Via):
            return self._through_proxy(id, place, sock, raw, route, settings.connect_timeout)
        return self._directly(id, place[0], sock, raw, route, address)

    def _through_proxy(
        self, id: int, place: tuple[int, int, int], sock: _originals.Socket, raw: bytes, route: Via, seconds: float
    ) -> bool:
        blocks = os.get_blocking(sock.fileno())
        if sock.getsockopt(IPPROTO_TCP, _FASTOPEN_CONNECT):
            # tcp(7): connect(2) would succeed at once, and send(2) would connect.
            sock.setsockopt(IPPROTO_TCP, _FASTOPEN_CONNECT, 0)
        if blocks and self._held.dialer.fits(sock, route.chain[0]) and _is_unconnected(sock):
            own = self._own(id, place[0], sock, raw)
            self._held.dialer.own(sock, route, seconds, own.end).start()
            return True
        held = self._hold(id, place, sock, raw, blocks)
        if held is not None:
            held.dial(route, seconds)
        return False

    def _directly(
        self, id: int, inode: int, sock: _originals.Socket, raw: bytes, route: Direct, address: SockAddress
    ) -> bool:
        """Connect a socket without a proxy: to `address`, which is `raw` in memory, or to that of the route."""
        host = (route.address or address)[0]
        literal = numeric(host) or host
        if literal in _UNSPECIFIED or is_loopback(literal):
            _refuse_device(sock)
        to = raw if route.address is None else raw_sockaddr.pack(sock.family, route.address)
        peer = raw if to != raw else None
        started = monotonic()
        if os.get_blocking(sock.fileno()):
            own = self._own(id, inode, sock, peer)

            def done(error: OSError | None) -> None:
                _log_direct(route, address, started, error)
                own.end(error)

            connect_directly(self._loop, sock, to, done)
            self._tell_responder(route, sock)
            return True
        if peer is not None:
            self._connections.set_peer(inode, peer)
        error = connect_raw(sock.fileno(), to)
        self._tell_responder(route, sock)
        _log_direct(route, address, started, OSError(error, os.strerror(error)) if error else None)
        self._listener.answer(id, error=error)
        return False

    def _tell_responder(self, route: Direct, sock: _originals.Socket) -> None:
        # The connection is accepted later, by the loop.
        if self._routes.leads_to_responder(route):
            self._expect_client(sock)

    def _own(self, id: int, inode: int, sock: _originals.Socket, peer: bytes | None) -> OwnConnect:
        waiting = WaitingCalls(self._loop, self._listener, self._target, sock)
        own = OwnConnect(self._loop, self._connections, waiting, sock, inode)
        own.wait(id)
        self._connections.begin(inode, own, peer)
        return own

    def _hold(
        self, id: int, place: tuple[int, int, int], sock: _originals.Socket, raw: bytes, blocks: bool
    ) -> HeldConnect | None:
        """Let a socket wait in SYN_SENT. Return None if the call is answered: the socket could not be connected."""
        _refuse_device(sock)
        host = raw_sockaddr.parse(raw, sock.family)[0]
        os.set_blocking(sock.fileno(), False)
        try:
            error = connect_raw(sock.fileno(), self._held.full_listeners.address_for(sock, host))
        finally:
            os.set_blocking(sock.fileno(), blocks)
        # The kernel answers itself for a socket that is connected, or listens.
        if error != EINPROGRESS:
            self._listener.answer(id, error=error)
            return None
        held = HeldConnect(self._held, place, sock.getsockname())
        self._connections.begin(place[0], held, raw)
        if blocks:
            held.wait(id, sock)
        else:
            self._listener.answer(id, error=EINPROGRESS)
        return held


def _log_direct(route: Direct, address: SockAddress, started: float, error: OSError | None) -> None:
    # OSError is of the class of its errno: one of EINPROGRESS is a BlockingIOError, as the log expects it.
    # The connection of a patched Python to its proxy has a line of its own.
    if log.is_open() and route.rule not in (None, PROXY_ITSELF):
        log.direct(route.address or address, route.rule.text, started, error)


def _refuse_device(sock: _originals.Socket) -> None:
    """Refuse to connect a socket that is bound to a device: packets to loopback would leave by the device.

    bind(2) with a link-local address binds to its device, even if it fails. Raises OSError (ENETUNREACH).
    """
    if sock.getsockopt(SOL_SOCKET, SO_BINDTODEVICE, _DEVICE).strip(b"\0") not in (b"", b"lo"):
        raise OSError(ENETUNREACH, os.strerror(ENETUNREACH))


def _is_unconnected(sock: _originals.Socket) -> bool:
    return sock.getsockopt(IPPROTO_TCP, TCP_INFO, 1) == _CLOSE
