"""Answers connect(2): which way a socket of the tree is connected.

No connect(2) of an internet socket is left to the kernel, not even a direct one. Otherwise a program could change the
address in its memory after it was checked, and Landlock denies the tree such calls anyway.
"""

from __future__ import annotations

import os
from errno import ECONNREFUSED, EHOSTUNREACH, EINPROGRESS, EINVAL, ENETUNREACH, EPERM
from socket import (
    AF_INET,
    AF_INET6,
    AF_UNIX,
    AF_UNSPEC,
    IPPROTO_TCP,
    SO_BINDTODEVICE,
    SO_ERROR,
    SOCK_DGRAM,
    SOCK_STREAM,
    SOL_SOCKET,
    TCP_INFO,
    gaierror,
)

from socksify.routing import local_host, log
from socksify.routing.route import Blocked, Direct, Via
from socksify.seal import raw_sockaddr
from socksify.seal.held_connect import HeldConnect
from socksify.seal.libc import connect_raw
from socksify.seal.own_connect import OwnConnect, connect_directly
from socksify.seal.waiting_calls import WaitingCalls
from socksify.tunnel import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from socksify import _originals
    from socksify.routing.router import Router
    from socksify.routing.sockaddr import SockAddress
    from socksify.seal.connections import Connections
    from socksify.seal.held_connect import HeldConnects
    from socksify.seal.listener import Listener
    from socksify.seal.target import Target
    from socksify.server.core.loop import Loop

_DOMAIN = 53
# <linux/tcp.h>; the first byte of struct tcp_info is the state.
_FASTOPEN_CONNECT = 30
_CLOSE = b"\x07"
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
        router_of: Callable[[int], Router],
        connect_datagram: Callable[[int, int, _originals.Socket, int, bytes], None],
        name_server: SockAddress,
    ) -> None:
        """`router_of` gives the Router for a thread, `name_server` is our own responder for DNS over TCP."""
        self._loop, self._listener, self._target, self._connections = loop, listener, target, connections
        self._held = held
        self._router_of = router_of
        self._connect_datagram = connect_datagram
        self._name_server = name_server

    def connect(self, id: int, thread: int, fd: int, address: int, length: int, *_: int) -> None:
        """Answer connect(2), now or when the connection is made. Raises OSError if the call fails at once."""
        raw = self._target.read(thread, address, min(length & 0xFFFFFFFF, raw_sockaddr.LONGEST))
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
        if sock.type == SOCK_DGRAM:
            self._connect_datagram(id, thread, sock, os.fstat(sock.fileno()).st_ino, raw)
            return False
        if sock.family not in (AF_INET, AF_INET6) or raw_sockaddr.family(raw) == AF_UNSPEC:
            # The address is not one of the socket's family, or ends a connection. Neither leads to a host.
            self._answer(id, connect_raw(sock.fileno(), raw) if sock.family != AF_UNIX else EINVAL)
            return False
        if sock.type != SOCK_STREAM or sock.proto != IPPROTO_TCP:
            raise OSError(EPERM, os.strerror(EPERM))
        inode = os.fstat(sock.fileno()).st_ino
        attempt = self._connections.attempt(inode)
        if attempt is not None:
            attempt.join(id)
            return False
        failure = self._connections.take_failure(inode)
        if failure:
            sock.getsockopt(SOL_SOCKET, SO_ERROR)
            raise OSError(failure, os.strerror(failure))
        return self._begin(id, (inode, thread, fd), sock, raw)

    def _begin(self, id: int, place: tuple[int, int, int], sock: _originals.Socket, raw: bytes) -> bool:
        address = raw_sockaddr.parse(raw, sock.family)
        route = self._route(place[1], sock, address)
        if isinstance(route, Via):
            return self._through_proxy(id, place, sock, raw, route)
        to = raw if route is None else raw_sockaddr.pack(sock.family, route)
        return self._directly(id, place[0], sock, to, raw)

    def _route(self, thread: int, sock: _originals.Socket, address: SockAddress) -> Via | SockAddress | None:
        """Return the route, or another address to connect to directly; None for the address that was given.

        Raises OSError (EACCES) for a destination that a rule blocks.
        """
        try:
            route = self._router_of(thread).decide(sock.family, address)
        except gaierror:
            raise OSError(EHOSTUNREACH, os.strerror(EHOSTUNREACH)) from None
        if address[1] == _DOMAIN and _is_for_name_server(route, address):
            return _in_family(self._name_server, sock.family)
        if isinstance(route, Blocked):
            log.denied(address, route.why)
            raise errors.denied(route.why, address)
        if isinstance(route, Direct):
            return route.address
        return route

    def _through_proxy(
        self, id: int, place: tuple[int, int, int], sock: _originals.Socket, raw: bytes, route: Via
    ) -> bool:
        blocks = os.get_blocking(sock.fileno())
        if sock.getsockopt(IPPROTO_TCP, _FASTOPEN_CONNECT):
            # tcp(7): connect(2) would succeed at once, and send(2) would connect.
            sock.setsockopt(IPPROTO_TCP, _FASTOPEN_CONNECT, 0)
        if blocks and self._held.dialer.fits(sock, route.chain[0]) and _is_unconnected(sock):
            own = self._own(id, place[0], sock, raw)
            self._held.dialer.own(sock, route, own.end)
            return True
        self._hold(id, place, sock, raw, route, blocks)
        return False

    def _directly(self, id: int, inode: int, sock: _originals.Socket, raw: bytes, given: bytes) -> bool:
        """Connect a socket to `raw`. The program has given the address `given`."""
        peer = given if raw != given else None
        if os.get_blocking(sock.fileno()):
            connect_directly(self._loop, sock, raw, self._own(id, inode, sock, peer).end)
            return True
        if peer is not None:
            self._connections.set_peer(inode, peer)
        self._answer(id, connect_raw(sock.fileno(), raw))
        return False

    def _own(self, id: int, inode: int, sock: _originals.Socket, peer: bytes | None) -> OwnConnect:
        waiting = WaitingCalls(self._loop, self._listener, self._target, sock)
        own = OwnConnect(self._loop, self._connections, waiting, sock, inode)
        own.join(id)
        self._connections.begin(inode, own, peer)
        return own

    def _hold(
        self, id: int, place: tuple[int, int, int], sock: _originals.Socket, raw: bytes, route: Via, blocks: bool
    ) -> None:
        """Let a socket wait in SYN_SENT."""
        if sock.getsockopt(SOL_SOCKET, SO_BINDTODEVICE, 16).strip(b"\0"):
            # Packets to loopback would leave by the device.
            raise OSError(ENETUNREACH, os.strerror(ENETUNREACH))
        os.set_blocking(sock.fileno(), False)
        try:
            error = connect_raw(sock.fileno(), self._held.full_listeners.address_for(sock))
        finally:
            os.set_blocking(sock.fileno(), blocks)
        # The kernel answers itself for a socket that is connected, or listens.
        if error != EINPROGRESS:
            self._answer(id, error)
            return
        waiting = WaitingCalls(self._loop, self._listener, self._target, sock) if blocks else None
        held = HeldConnect(self._held, place, sock.getsockname(), waiting)
        self._connections.begin(place[0], held, raw)
        if blocks:
            held.join(id)
        else:
            self._answer(id, EINPROGRESS)
        held.dial(route)

    def _answer(self, id: int, error: int) -> None:
        self._listener.answer(id, error=error)


def _is_for_name_server(route: Direct | Via | Blocked, address: SockAddress) -> bool:
    """Return True if a connection to port 53 is for a name server that this machine asks for names."""
    if isinstance(route, Blocked):
        # No rule of the user blocks it: the server is one of this machine, and would forward the query.
        return route.rule is None
    return isinstance(route, Via) and address[0] in local_host.nameservers()


def _in_family(address: SockAddress, family: int) -> SockAddress:
    return address if family == AF_INET else (f"::ffff:{address[0]}", address[1], 0, 0)


def _is_unconnected(sock: _originals.Socket) -> bool:
    return sock.getsockopt(IPPROTO_TCP, TCP_INFO, 1) == _CLOSE
