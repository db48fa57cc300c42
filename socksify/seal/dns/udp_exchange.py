"""One query to a name server over UDP.

Each query has a socket of its own. Its port is chosen by the kernel, so that nobody can guess where a response is
accepted (RFC 5452 section 9.2).
"""

from __future__ import annotations

from socket import AF_INET, AF_INET6

from socksify.seal.dns import response
from socksify.server.core.loop import READABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from socksify.routing.sockaddr import SockAddress
    from socksify.seal.dns.message import Query
    from socksify.server.core.loop import Loop

    # Called once: with the response, or None if there is none.
    Done = Callable[[bytes | None], object]

# Seconds for the response to a query. After so many, most resolvers ask again, or another server.
_ANSWER_SECONDS = 5.0
_LARGEST_DATAGRAM = 0xFFFF


class UdpExchange:
    """Sends a query to a server. Its host is a literal. Raises OSError if there is no socket for the query."""

    def __init__(self, loop: Loop, server: SockAddress, query: Query, done: Done) -> None:
        self._loop = loop
        self._query = query
        self._done = done
        self._socket = loop.datagrams(AF_INET6 if ":" in server[0] else AF_INET)
        self._timer = loop.after(_ANSWER_SECONDS, self._fail)
        try:
            self._socket.connect(server)
            self._socket.send(query.data)
        except OSError:
            self._fail()
        else:
            loop.watch(self._socket.fileno(), READABLE, self._readable)

    def _readable(self, _fd: int, _events: int) -> None:
        try:
            data = self._socket.recv(_LARGEST_DATAGRAM)
        except BlockingIOError:
            return
        except OSError:
            # Nobody listens there (ECONNREFUSED).
            self._fail()
            return
        # A datagram that does not belong to the query may be forged. The true one may still come.
        if response.belongs_to(self._query, data):
            self._end(data)

    def _fail(self) -> None:
        self._end(None)

    def _end(self, data: bytes | None) -> None:
        self._timer.cancel()
        self._loop.discard(self._socket)
        self._done(data)
