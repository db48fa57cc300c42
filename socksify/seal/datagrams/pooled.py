"""Answers the calls of UDP sockets that come from a SocketPool.

Nothing leaves from such a socket, so the kernel can carry out the calls. Before it does, connect(2) and sendto(2) open
the way to a service that is direct, and sendto(2) is refused where nobody would hear the datagram. connect(2) alone
sends nothing; programs use it to find their own address.

sendmsg(2) has its address in memory that a filter does not see. So it opens no way, but it can use one that is open.
"""

from __future__ import annotations

from socket import AF_INET6, AF_UNSPEC, MSG_DONTWAIT

from socksify.routing.route import Direct
from socksify.seal.datagrams.direct import DirectDatagrams
from socksify.seal.datagrams.messages import read_datagram
from socksify.seal.datagrams.routes import DOMAIN, destination, through_loopback
from socksify.seal.datagrams.sockets import flags_of, give, is_datagram_socket
from socksify.seal.kernel import raw_sockaddr
from socksify.seal.kernel.libc import connect_raw

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from socksify import _originals
    from socksify.routing.sockaddr import SockAddress
    from socksify.seal.datagrams.routes import DatagramRoutes
    from socksify.seal.datagrams.socket_pool import SocketPool
    from socksify.seal.kernel.listener import Listener
    from socksify.seal.kernel.target import Target
    from socksify.seal.streams.connections import Connections
    from socksify.server.core.loop import Loop

    Handler = Callable[..., None]


class PooledDatagrams:
    """Answers socket(2), connect(2) and sendto(2).

    `responders` are the sockets on which name servers are asked. `handlers` are methods by the name of the call, but
    for `connect`, whose calls are sorted out before.
    """

    def __init__(
        self,
        loop: Loop,
        listener: Listener,
        target: Target,
        connections: Connections,
        routes: DatagramRoutes,
        pool: SocketPool,
    ) -> None:
        """The loop serves the pool from now on."""
        self._listener, self._target, self._connections = listener, target, connections
        self._routes, self._pool = routes, pool
        self._direct = DirectDatagrams(loop, pool)
        self.responders = (pool.responder,)
        self.handlers: Mapping[str, Handler] = {"socket": self.socket, "sendto": self.sendto}
        pool.serve(loop)

    def serves(self, _client: SockAddress) -> bool:
        """Return True: only the tree has sockets in the namespace of the pool."""
        return True

    def close(self) -> None:
        """Pass on the last datagrams of the tree."""
        self._direct.close()

    def socket(self, id: int, _thread: int, domain: int, kind: int, _protocol: int, *_: int) -> None:
        """Answer socket(2) of a UDP socket. Raises OSError (EINVAL) for flags that are none."""
        flags = flags_of(kind)
        self._pool.take(domain & 0xFFFFFFFF, lambda made: give(self._listener, id, flags, made))

    def connect(self, id: int, thread: int, sock: _originals.Socket, inode: int, raw: bytes) -> None:
        """Answer connect(2) of a UDP socket. Raises OSError if the call fails at once."""
        to = destination(raw) if raw_sockaddr.family(raw) != AF_UNSPEC else None
        self._connections.forget(inode)
        if to is None:
            self._listener.proceed(id)
            return
        if to[1] == DOMAIN:
            self._connect_to_name_server(id, sock, inode, raw)
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
        self, id: int, thread: int, fd: int, data: int, size: int, flags: int, address: int, length: int, *_: int
    ) -> None:
        """Answer sendto(2) of any socket with an address. Raises OSError if the call fails at once."""
        raw = self._target.read_all(thread, address, min(length & 0xFFFFFFFF, raw_sockaddr.LONGEST))
        to = destination(raw) if raw else None
        if to is None:
            self._listener.proceed(id)
            return
        if to[1] == DOMAIN:
            self._ask_name_server(id, thread, fd, (data, size, flags & 0xFFFFFFFF), raw)
            return
        route = self._routes.decide(thread, None, to)
        if isinstance(route, Direct):
            self._direct.reach(to, lambda: self._listener.proceed(id))
        elif is_datagram_socket(self._target, thread, fd):
            self._routes.refuse(route, to)
        else:
            # A socket of TCP ignores the address.
            self._listener.proceed(id)

    def _connect_to_name_server(self, id: int, sock: _originals.Socket, inode: int, raw: bytes) -> None:
        moved = through_loopback(raw)
        if moved is None:
            self._listener.proceed(id)
            return
        error = connect_raw(sock.fileno(), moved)
        if not error:
            self._connections.set_peer(inode, raw)
        self._listener.answer(id, error=error)

    def _ask_name_server(self, id: int, thread: int, fd: int, content: tuple[int, int, int], raw: bytes) -> None:
        """Send a question. `content` is where it lies, its size, and the flags of the call."""
        moved = through_loopback(raw)
        if moved is None:
            self._listener.proceed(id)
            return
        at, size, flags = content
        question = read_datagram(self._target, thread, at, size)
        sock = self._target.take_socket(thread, fd)
        try:
            if sock.family != AF_INET6:
                # The kernel tells that the address is of another family.
                self._listener.proceed(id)
            elif self._listener.is_valid(id):
                self._listener.answer(
                    id, sock.sendto(question, flags | MSG_DONTWAIT, raw_sockaddr.parse(moved, AF_INET6))
                )
        finally:
            sock.close()
