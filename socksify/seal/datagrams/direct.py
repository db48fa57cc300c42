"""Carries datagrams between the pool's namespace and services that are direct, such as syslog on this machine.

A socket of the pool cannot reach a service outside of its namespace. So a socket of ours takes the address of the
service inside the namespace, and passes on what arrives there, by a socket of ours outside. The program's socket stays
as it is: its options, its duplicates, its registrations in epoll sets, and its peer are those of the kernel.

Limits: the service sees another source port. A datagram to a closed port is lost, where the program may be told
(ECONNREFUSED) otherwise.
"""

from __future__ import annotations

from collections import OrderedDict
from socket import AF_INET, AF_INET6, IPPROTO_IPV6, SOCK_DGRAM

from socksify import _originals
from socksify.routing.local_host import stays_here
from socksify.server.core.loop import READABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from socksify.routing.sockaddr import SockAddress
    from socksify.seal.datagrams.socket_pool import SocketPool
    from socksify.server.core.calls import Timer
    from socksify.server.core.loop import Loop

# The most services at one time, and the most clients of all of them. The one that was used least recently goes first.
_MOST_SERVICES = 64
_MOST_CLIENTS = 256
# In seconds: RFC 4787 section 4.3 wants 2 minutes at least.
_IDLE_SECONDS = 120.0
# The number of datagrams that are passed on before the loop sees to others.
_BATCH = 32
_LONGEST = 65535
# <linux/in6.h>; the `socket` module does not have it.
_IPV6_FREEBIND = 78


class DirectDatagrams:
    """The services of one pool that programs have asked for."""

    def __init__(self, loop: Loop, pool: SocketPool) -> None:
        self._loop, self._pool = loop, pool
        self._services: OrderedDict[SockAddress, _Service] = OrderedDict()
        self._clients: OrderedDict[tuple[SockAddress, SockAddress], _Client] = OrderedDict()

    def __contains__(self, address: SockAddress) -> bool:
        """Return True if a service is reached. `address` is a literal and a port."""
        return address in self._services

    def reach(self, address: SockAddress, then: Callable[[], object]) -> None:
        """Let datagrams to a service pass, if there is one, and call `then`, now or later.

        `address` is a literal, which is no mapped address, and a port.
        """
        if address in self._services:
            self._services.move_to_end(address)
        elif is_served(address):
            family = AF_INET6 if ":" in address[0] else AF_INET
            self._pool.take(family, lambda made: self._begin(address, made, then))
            return
        then()

    def close(self) -> None:
        """Pass on what programs have sent before they ended. The loop closes the sockets."""
        for service in self._services.values():
            service.drain()

    def _begin(self, address: SockAddress, made: _originals.Socket | OSError, then: Callable[[], object]) -> None:
        if not isinstance(made, OSError):
            if address in self._services or not _take_address(made, address):
                made.close()
            else:
                self._services[address] = _Service(self._loop, made, address, self._client_of)
                _drop_oldest(self._services, _MOST_SERVICES)
        then()

    def _client_of(self, service: _Service, address: SockAddress) -> _Client:
        """Return the way of a client's datagrams to a service. Raises OSError if there is none."""
        key = service.address, address
        client = self._clients.get(key)
        if client is None:
            client = self._clients[key] = _Client(self._loop, service, address, lambda: self._clients.pop(key, None))
            _drop_oldest(self._clients, _MOST_CLIENTS)
        else:
            self._clients.move_to_end(key)
        return client


class _Service:
    """The address of a service inside of the namespace."""

    def __init__(
        self,
        loop: Loop,
        sock: _originals.Socket,
        address: SockAddress,
        client_of: Callable[[_Service, SockAddress], _Client],
    ) -> None:
        self._loop, self._socket, self.address = loop, sock, address
        self._client_of = client_of
        sock.setblocking(False)
        loop.keep(sock)
        loop.watch(sock.fileno(), READABLE, self._readable)

    def close(self) -> None:
        self._loop.discard(self._socket)

    def drain(self) -> None:
        """Pass on everything that has arrived."""
        for _count in range(_BATCH):
            self._readable()

    def answer(self, data: bytes, client: SockAddress) -> None:
        """Send what the service has sent. Raises OSError."""
        self._socket.sendto(data, client)

    def _readable(self, *_: int) -> None:
        for _count in range(_BATCH):
            try:
                data, client = self._socket.recvfrom(_LONGEST)
            except BlockingIOError:
                return
            except OSError:
                # An earlier answer has found no client any more.
                continue
            try:
                self._client_of(self, client).send(data)
            except OSError:
                # It is lost, as datagrams are: there is no service, no descriptor, or no room.
                pass


class _Client:
    """A socket outside of the namespace, for the datagrams of one client of one service."""

    def __init__(self, loop: Loop, service: _Service, address: SockAddress, ended: Callable[[], object]) -> None:
        self._loop, self._service, self._address, self._ended = loop, service, address, ended
        self._socket = loop.datagrams(AF_INET6 if ":" in service.address[0] else AF_INET)
        try:
            self._socket.connect(_originals.InternalAddress(service.address))
        except OSError:
            loop.discard(self._socket)
            raise
        self._timer: Timer = loop.after(_IDLE_SECONDS, self._expire)
        loop.watch(self._socket.fileno(), READABLE, self._readable)

    def send(self, data: bytes) -> None:
        """Send a datagram to the service. Raises OSError."""
        self._rearm()
        try:
            self._socket.send(data)
        except ConnectionRefusedError:
            # An earlier datagram found no service, and this call has only reported that (udp(7)).
            self._socket.send(data)

    def close(self) -> None:
        self._timer.cancel()
        self._loop.discard(self._socket)

    def _readable(self, *_: int) -> None:
        for _count in range(_BATCH):
            try:
                self._service.answer(self._socket.recv(_LONGEST), self._address)
            except BlockingIOError:
                break
            except OSError:
                # Nobody listens at the service's port, or the client is gone.
                continue
        self._rearm()

    def _rearm(self) -> None:
        self._timer.cancel()
        self._timer = self._loop.after(_IDLE_SECONDS, self._expire)

    def _expire(self) -> None:
        self.close()
        self._ended()


def is_served(address: SockAddress) -> bool:
    """Return True if datagrams to an address have to leave the namespace.

    On this machine, an address that can be bound belongs to nobody. A program of the tree may bind it, natively and
    inside of the namespace alike.
    """
    try:
        if not stays_here(address[0]):
            return True
    except OSError:
        return False
    probe = _originals.Socket(AF_INET6 if ":" in address[0] else AF_INET, SOCK_DGRAM)
    try:
        probe.bind(address)
    except OSError:
        return True
    finally:
        probe.close()
    return False


def _take_address(sock: _originals.Socket, address: SockAddress) -> bool:
    """Bind a socket of the pool. Return False if that cannot be: a program of the tree may have the address."""
    try:
        if sock.family == AF_INET6:
            # ip(7), IP_FREEBIND: no interface of the namespace has the address.
            sock.setsockopt(IPPROTO_IPV6, _IPV6_FREEBIND, 1)
        sock.bind(address)
    except OSError:
        return False
    return True


def _drop_oldest(table: OrderedDict[Any, Any], most: int) -> None:
    if len(table) > most:
        table.popitem(last=False)[1].close()
