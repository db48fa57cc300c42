"""Answers the calls of UDP sockets that come from a SocketPool.

Nothing leaves from such a socket, so the kernel can carry out the calls. Before it does, connect(2) and sendto(2) open
the way to a service that is direct, and sendto(2) is refused where nobody would hear the datagram. connect(2) alone
sends nothing; programs use it to find their own address.

sendmsg(2) has its address in memory that a filter does not see. So it opens no way, but it can use one that is open.
"""

from __future__ import annotations

from socket import AF_UNSPEC

from socksify.routing.route import Direct
from socksify.seal import raw_sockaddr
from socksify.seal.datagram_routes import DOMAIN, destination
from socksify.seal.datagram_sockets import flags_of, give, is_datagram_socket
from socksify.seal.direct_datagrams import DirectDatagrams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from socksify import _originals
    from socksify.seal.datagram_routes import DatagramRoutes
    from socksify.seal.listener import Listener
    from socksify.seal.socket_pool import SocketPool
    from socksify.seal.target import Target
    from socksify.server.core.loop import Loop

    Handler = Callable[..., None]


class PooledDatagrams:
    """Answers socket(2), connect(2) and sendto(2).

    `responders` are the sockets on which name servers are asked. `handlers` are methods by the name of the call, but
    for `connect`, whose calls are sorted out before.
    """

    def __init__(
        self, loop: Loop, listener: Listener, target: Target, routes: DatagramRoutes, pool: SocketPool
    ) -> None:
        """The loop serves the pool from now on."""
        self._listener, self._target, self._routes, self._pool = listener, target, routes, pool
        self._direct = DirectDatagrams(loop, pool)
        self.responders = (pool.responder,)
        self.handlers: Mapping[str, Handler] = {"socket": self.socket, "sendto": self.sendto}
        pool.serve(loop)

    def close(self) -> None:
        """Pass on the last datagrams of the tree."""
        self._direct.close()

    def socket(self, id: int, _thread: int, domain: int, kind: int, _protocol: int, *_: int) -> None:
        """Answer socket(2) of a UDP socket. Raises OSError (EINVAL) for flags that are none."""
        flags = flags_of(kind)
        self._pool.take(domain & 0xFFFFFFFF, lambda made: give(self._listener, id, flags, made))

    def connect(self, id: int, thread: int, _sock: _originals.Socket, inode: int, raw: bytes) -> None:
        """Answer connect(2) of a UDP socket. Raises OSError if the call fails at once."""
        to = destination(raw) if raw_sockaddr.family(raw) != AF_UNSPEC else None
        if to is None or to[1] == DOMAIN:
            self._listener.proceed(id)
            return
        route = self._routes.decide(thread, inode, to)
        if isinstance(route, Direct):
            self._direct.reach(to, lambda: self._listener.proceed(id))
        elif to in self._direct:
            # The way is open for the rules of another block.
            self._routes.refuse(route, to)
        else:
            self._listener.proceed(id)

    def sendto(
        self, id: int, thread: int, fd: int, _data: int, _size: int, _flags: int, address: int, length: int, *_: int
    ) -> None:
        """Answer sendto(2) of any socket with an address. Raises OSError if the call fails at once."""
        raw = self._target.read(thread, address, min(length & 0xFFFFFFFF, raw_sockaddr.LONGEST))
        to = destination(raw) if raw else None
        if to is None or to[1] == DOMAIN:
            self._listener.proceed(id)
            return
        route = self._routes.decide(thread, None, to)
        if isinstance(route, Direct):
            self._direct.reach(to, lambda: self._listener.proceed(id))
        elif is_datagram_socket(self._target, thread, fd):
            self._routes.refuse(route, to)
        else:
            # A socket of TCP ignores the address.
            self._listener.proceed(id)
