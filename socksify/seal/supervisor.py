"""The supervisor: it answers the system calls of a sealed tree, as long as anybody is in the tree.

One thread runs one event loop. A notification takes a few dozen microseconds, and no handler waits: handshakes, direct
connects, look-ups and relays are left to the loop.
"""

from __future__ import annotations

from errno import EIO
from select import EPOLLHUP
from socket import AF_INET, SOCK_STREAM

from socksify import _originals
from socksify.seal.datagrams.native import NativeDatagrams
from socksify.seal.datagrams.pooled import PooledDatagrams
from socksify.seal.datagrams.routes import DatagramRoutes
from socksify.seal.dns.answers import Answers
from socksify.seal.dns.expected_clients import ExpectedClients
from socksify.seal.dns.responder import TcpResponder, UdpResponder
from socksify.seal.kernel import system_calls
from socksify.seal.kernel.target import Target
from socksify.seal.notices import Notices
from socksify.seal.patched.private_calls import PrivateCalls
from socksify.seal.patched.scopes import Scopes
from socksify.seal.streams.connect import ConnectHandler
from socksify.seal.streams.connections import Connections, SocketQueries
from socksify.seal.streams.dial import Dialer
from socksify.seal.streams.full_listener import FullListeners
from socksify.seal.streams.held_connect import HeldConnects
from socksify.seal.streams.relays import Relays
from socksify.seal.streams.routes import Routes
from socksify.server.core.calls import report_error
from socksify.server.core.loop import READABLE, Loop
from socksify.server.core.thread_pool import Threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from socksify.config.settings import Settings
    from socksify.routing.sockaddr import SockAddress
    from socksify.seal.datagrams.socket_pool import SocketPool
    from socksify.seal.kernel.listener import Listener

    # Answers a system call: id, thread, and the six arguments. It raises OSError if the call fails at once.
    Handler = Callable[..., None]

# The number of connections to the responder that wait for accept(2).
_BACKLOG = 1024


class Supervisor:
    """Answers the notifications of one filter, by these settings."""

    def __init__(self, listener: Listener, settings: Settings, pool: SocketPool | None = None) -> None:
        """`pool` has the UDP sockets of the tree, if its filter was made for a pool."""
        numbers = system_calls.here().numbers
        self._listener = listener
        self._loop = Loop()
        self._threads = Threads(self._loop)
        self._scopes = Scopes(settings)
        self._notices = Notices()
        self._dialer = Dialer(self._loop, self._threads, self._notices)
        self._dialer.look_up(settings)
        self._relays = Relays(self._loop)
        self._full_listeners = FullListeners(self._loop)
        self._target = Target(numbers)
        self._connections = Connections()
        self._answers = Answers(self._scopes.names, self._scopes.lookups, settings, self._loop, self._dialer)
        self._datagrams = self._make_datagrams(settings, pool)
        self._handlers = self._make_handlers(numbers)

    def run(self) -> None:
        """Answer until nobody is left under the filter."""
        self._loop.watch(self._listener.fd, READABLE, self._notified)
        self._loop.run()
        self._close()

    def _close(self) -> None:
        self._listener.close()
        self._datagrams.close()
        self._relays.close()
        self._full_listeners.close()
        self._threads.close()
        self._loop.close()

    def _make_handlers(self, numbers: Mapping[str, int]) -> dict[int, Handler]:
        held = HeldConnects(
            self._listener, self._target, self._connections, self._dialer, self._full_listeners, self._relays
        )
        clients = ExpectedClients()
        connect = ConnectHandler(
            self._loop,
            self._listener,
            self._target,
            self._connections,
            held,
            Routes(self._scopes.router_of, self._name_server(clients), self._notices),
            self._datagrams.connect,
            clients.expect,
        )
        queries = SocketQueries(self._listener, self._target, self._connections)
        return {
            numbers["connect"]: connect.connect,
            numbers["getpeername"]: queries.getpeername,
            numbers["getsockopt"]: queries.so_error,
            numbers["setsockopt"]: PrivateCalls(self._listener, self._target, self._scopes).setsockopt,
            **{numbers[name]: answer for name, answer in self._datagrams.handlers.items()},
        }

    def _make_datagrams(self, settings: Settings, pool: SocketPool | None) -> PooledDatagrams | NativeDatagrams:
        """Answer DNS over UDP, and return the handlers of UDP sockets."""
        routes = DatagramRoutes(self._scopes.router_of, self._notices)
        of_supervisor = self._loop, self._listener, self._target, self._connections, routes
        datagrams = (
            PooledDatagrams(*of_supervisor, pool)
            if pool is not None
            else NativeDatagrams(*of_supervisor, are_direct=settings.udp == "direct")
        )
        for responder in datagrams.responders:
            UdpResponder(self._loop, responder, self._answers, datagrams.serves)
        return datagrams

    def _name_server(self, clients: ExpectedClients) -> SockAddress:
        """Answer DNS over TCP, and return the address of the responder."""
        listening = _originals.Socket(AF_INET, SOCK_STREAM)
        listening.bind(("127.0.0.1", 0))
        listening.listen(_BACKLOG)
        self._loop.keep(listening)
        TcpResponder(self._loop, listening, self._answers, clients.take)
        address: SockAddress = listening.getsockname()
        return address

    def _notified(self, _fd: int, events: int) -> None:
        if events & EPOLLHUP:
            self._loop.stop()
            return
        notification = self._listener.receive()
        if notification is not None:
            id, thread, _, number, _, _, *arguments = notification
            self._handle(id, thread, number, arguments)

    def _handle(self, id: int, thread: int, number: int, arguments: list[int]) -> None:
        try:
            self._handlers[number](id, thread, *arguments)
        except OSError as error:
            self._listener.answer(id, error=error.errno or EIO)
        except Exception:
            # An error of the supervisor must not end the tree's other connections.
            report_error()
            self._listener.answer(id, error=EIO)
