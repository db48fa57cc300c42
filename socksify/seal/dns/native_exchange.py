"""A name server is asked without a proxy: by one query over UDP, or over a TCP connection that is opened here.

The address of the server may be a link-local one. resolv.conf names the interface of such a server: `fe80::1%eth0`
(RFC 4007 section 11).
"""

from __future__ import annotations

from socket import AF_INET, AF_INET6, SO_ERROR, SOL_SOCKET, if_nametoindex

from socksify.routing.hosts_file import SystemFile
from socksify.routing.sockaddr import numeric
from socksify.seal.dns import response
from socksify.server.core.loop import READABLE, WRITABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from socksify import _originals
    from socksify.routing.sockaddr import SockAddress
    from socksify.seal.dns.message import Query
    from socksify.server.core.loop import Loop

    # Called once: with the response, or None if there is none.
    Done = Callable[[bytes | None], object]

# Seconds for the response to a query. After so many, most resolvers ask again, or another server.
_ANSWER_SECONDS = 5.0
# Seconds for the opening of a connection.
_CONNECT_SECONDS = 10.0
_LARGEST_DATAGRAM = 0xFFFF


class UdpExchange:
    """Sends a query to a server over UDP. Its host is a literal. Raises OSError if there is no socket for the query.

    Each query has a socket of its own. Its port is chosen by the kernel, so that nobody can guess where a response is
    accepted (RFC 5452 section 9.2).
    """

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


class NativeDial:
    """Connects to a server, whose host is a literal. `done` is called once: with a socket of the loop, or None."""

    def __init__(self, loop: Loop, address: SockAddress, done: Callable[[_originals.Socket | None], object]) -> None:
        self._loop = loop
        self._done = done
        self._socket = loop.stream(AF_INET6 if ":" in address[0] else AF_INET)
        self._timer = loop.after(_CONNECT_SECONDS, self._fail)
        try:
            self._socket.connect(address)
        except BlockingIOError:
            pass
        except OSError:
            self._fail()
            return
        loop.watch(self._socket.fileno(), WRITABLE, self._writable)

    def _writable(self, fd: int, _events: int) -> None:
        if self._socket.getsockopt(SOL_SOCKET, SO_ERROR):
            self._fail()
            return
        self._timer.cancel()
        self._loop.watch(fd, 0, self._writable)
        self._done(self._socket)

    def _fail(self) -> None:
        self._timer.cancel()
        self._loop.discard(self._socket)
        self._done(None)


def interfaces(content: bytes) -> dict[str, str]:
    """Return the interfaces of name servers, by the literal without the interface."""
    found: dict[str, str] = {}
    for line in content.decode("latin-1").split("\n"):
        keyword, address, *_ = (*line.split(), "", "")
        _, _, interface = address.partition("%")
        literal = numeric(address) if keyword == "nameserver" and interface else None
        if literal is not None:
            found.setdefault(literal, interface)
    return found


INTERFACES = SystemFile("/etc/resolv.conf", interfaces)


def sockaddr(host: str, port: int) -> SockAddress:
    """Return the address of a name server for connect(2). Raises OSError if its interface does not exist."""
    interface = INTERFACES.read().get(host)
    if interface is None:
        return host, port
    # CPython's connect() takes no interface from the text of the host.
    return host, port, 0, int(interface) if interface.isdecimal() else if_nametoindex(interface)
