"""Questions that only a name server can answer.

A name that is resolved on this machine is asked for as the client has asked: at the server that the client means, over
UDP or TCP. Records of a name that the proxy resolves are asked for at the server of the setting `dns_server`, over TCP
through the proxy.
"""

from __future__ import annotations

from socket import AF_INET, AF_INET6, gaierror

from socksify.routing import fake_addresses, local_host, log
from socksify.routing.route import Blocked, Direct, Via
from socksify.routing.router import Router
from socksify.routing.sockaddr import numeric
from socksify.routing.stream_isolation import isolated
from socksify.seal.dns import message, response
from socksify.seal.dns.connection import Connection
from socksify.seal.dns.native_exchange import NativeDial, UdpExchange, sockaddr
from socksify.tunnel import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from socksify import _originals
    from socksify.config.settings import Settings
    from socksify.seal.dns.connection import Connect
    from socksify.seal.dns.message import Query
    from socksify.seal.dns.native_exchange import Done
    from socksify.seal.streams.dial import Dialer
    from socksify.server.core.loop import Loop

    # Sends a response to the client. It is called once.
    Reply = Callable[[bytes], object]
    # Sends a query to a server.
    Exchange = Callable[[Query, Done], object]

_DOMAIN = 53
# Queries whose responses are awaited at one time. Each may have a socket.
_MOST_PENDING = 256


class Forwarder:
    """Asks name servers. The queries of all clients together are bounded."""

    def __init__(self, settings: Settings, loop: Loop, dialer: Dialer) -> None:
        # A query does not tell its process, so the servers are routed by the settings of the seal.
        self._router = Router(settings)
        self._settings = settings
        self._loop = loop
        self._dialer = dialer
        self._pending = 0
        # The name servers of this machine that did not answer the last query.
        self._silent: set[str] = set()
        # By the host and the port of the server, and True if the connection goes through proxies.
        self._connections: dict[tuple[str, int, bool], Connection] = {}
        host, _, port = settings.dns_server.rpartition(":")
        self._name_server = (host.strip("[]"), int(port)) if host else None

    @property
    def has_name_server(self) -> bool:
        """True if the setting `dns_server` names a server."""
        return self._name_server is not None

    def close(self) -> None:
        """End all exchanges over TCP. Those over UDP end by themselves."""
        for connection in tuple(self._connections.values()):
            connection.close()

    def forward(self, query: Query, server: str | None, reply: Reply) -> None:
        """Ask the literal `server`, or with None the first name server of this machine that has answered.

        The servers that this machine asks are asked natively, and so are servers that a rule makes direct. Any other
        server is asked through its proxy.
        """
        if server is None:
            server = self._first_server()
        route = Direct() if self._is_asked_here(server) else self._route(server, _DOMAIN)
        if isinstance(route, Blocked):
            self._refuse(query, (server, _DOMAIN), route.why, reply)
        elif isinstance(route, Direct) and not query.over_tcp:
            self._begin(query, reply, self._noting(server, self._over_udp(server)))
        else:
            self._begin(query, reply, self._noting(server, self._connection(server, _DOMAIN, route).ask))

    def ask(self, query: Query, reply: Reply) -> None:
        """Ask the server of the setting `dns_server`. The response has no addresses beside the answer."""
        assert self._name_server is not None
        route = self._route(*self._name_server)
        if isinstance(route, Blocked):
            self._refuse(query, self._name_server, route.why, reply)
        else:
            ask = self._connection(*self._name_server, route).ask
            self._begin(query, reply, ask, response.without_addresses)

    def _refuse(self, query: Query, server: tuple[str, int], why: str, reply: Reply) -> None:
        log.denied(server, why, "DNS")
        self._dialer.notices.tell(str(errors.not_sent("DNS", log.host_port(*server), why).strerror))
        reply(query.response(message.REFUSED))

    def _first_server(self) -> str:
        servers = local_host.nameservers()
        return next((server for server in servers if server not in self._silent), servers[0])

    def _noting(self, server: str, exchange: Exchange) -> Exchange:
        """Return an exchange that notes if the server answers, for a server of this machine."""

        def noted(query: Query, done: Done) -> None:
            def note(data: bytes | None) -> None:
                (self._silent.discard if data is not None else self._silent.add)(server)
                done(data)

            exchange(query, note)

        return noted if server in local_host.nameservers() else exchange

    def _is_asked_here(self, server: str) -> bool:
        """Return True for a server that this machine's own resolver asks."""
        if server in local_host.nameservers():
            return True
        return local_host.asks_itself() and local_host.is_own(server)

    def _route(self, host: str, port: int) -> Direct | Via | Blocked:
        """Return the route to a server, without a look-up of its name here, which would take time."""
        try:
            if numeric(host) is None and not self._router.is_faked(host, port):
                return Blocked("its name is not left to the proxy; give its address")
            return self._router.decide(AF_INET6 if ":" in host else AF_INET, (host, port))
        except gaierror as error:
            return Blocked(str(error))

    def _over_udp(self, server: str) -> Exchange:
        return lambda query, done: UdpExchange(self._loop, sockaddr(server, _DOMAIN), query, done)

    def _connection(self, host: str, port: int, route: Direct | Via) -> Connection:
        key = host, port, isinstance(route, Via)
        found = self._connections.get(key)
        if found is None:
            connect = self._through(route) if isinstance(route, Via) else self._natively(host, port)
            found = Connection(self._loop, connect, lambda: self._connections.pop(key, None))
            self._connections[key] = found
        return found

    def _through(self, route: Via) -> Connect:
        """Return a function that opens a connection through the proxies of a route."""

        def connect(done: Callable[[_originals.Socket | None], object]) -> None:
            # The queries of many tasks share the connection, so nothing else may share its circuit.
            way = isolated(route, "connection") if self._settings.isolate != "none" else route
            seconds = self._settings.connect_timeout
            dial = self._dialer.fresh(way, seconds, lambda error: done(dial.sock if error is None else None))
            dial.start()

        return connect

    def _natively(self, host: str, port: int) -> Connect:
        """Return a function that opens a connection without a proxy."""

        def connect(done: Callable[[_originals.Socket | None], object]) -> None:
            NativeDial(self._loop, sockaddr(host, port), done)

        return connect

    def _begin(
        self,
        query: Query,
        reply: Reply,
        exchange: Exchange,
        edit: Callable[[bytes], bytes] | None = None,
    ) -> None:
        """Begin an exchange, and send its response to the client after `edit`, or SERVFAIL."""
        if self._pending >= _MOST_PENDING:
            reply(query.response(message.SERVFAIL))
            return

        def done(data: bytes | None) -> None:
            self._pending -= 1
            reply(_checked(query, data, edit))

        self._pending += 1
        try:
            exchange(query, done)
        except OSError:
            done(None)


def _checked(query: Query, data: bytes | None, edit: Callable[[bytes], bytes] | None) -> bytes:
    """Return what the client gets for the response of a server."""
    if data is None:
        return query.response(message.SERVFAIL)
    try:
        if edit is None:
            # A server may have addresses in the networks of the fake addresses. They must not be taken for fake ones.
            fake_addresses.TABLE.mark_real(response.addresses(data))
        else:
            data = edit(data)
    except response.Malformed:
        return query.response(message.SERVFAIL)
    return data if len(data) <= query.limit else query.truncated()
