"""The outer side of an association: the destinations of its datagrams, and the sockets that send them.

A client sends many datagrams to few destinations, so the answers of the rules and of the resolver are kept for ten
seconds. After that time the rules are asked again, so a reload changes a live association, too.
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Callable

from socksify import _originals
from socksify.protocol.address import NAME, Address
from socksify.protocol.socks5 import UDP_ASSOCIATE
from socksify.server.core.loop import READABLE, Loop
from socksify.server.net.addresses import host_of, to_sockaddr
from socksify.server.session.authorize import authorize

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.server.session.authorize import Authorization
    from socksify.server.session.stage import SessionContext

    # Host and port to send to, and the source address to send from, None for the kernel's choice.
    Route = tuple[str, int, str | None]

FRESH_SECONDS = 10.0
MAX_DESTINATIONS = 1024
# How many datagrams are kept while their names are looked up. There are at most as many such names.
MAX_WAITING = 64
# How many hosts may send to the client, because it has sent to them. The host used longest ago is forgotten.
MAX_HOSTS = 1024
# How many datagrams are received at one event.
BATCH = 32

# Called with the elements of a Route.
Found = Callable[[str, int, "str | None"], None]
# Called with the sender's host and port, and the data, which is overwritten afterwards.
Arrived = Callable[[str, int, memoryview], None]


class UdpDestinations:
    """Finds the route to a destination: at once if it is known, after a look-up, or never if it is not permitted."""

    def __init__(self, context: SessionContext) -> None:
        self._context = context
        # When an answer becomes too old, and the answer: None if nothing may be sent there.
        self._known: dict[Address, tuple[float, Route | None]] = {}
        self._waiting: dict[Address, list[Found]] = {}
        self._waiting_count = 0
        self._closed = False

    def find(self, target: Address, found: Found) -> None:
        """Call `found` with the route for a datagram to `target`, unless nothing may be sent to it."""
        until, route = self._known.get(target, (0.0, None))
        if until > self._context.loop.now:
            if route is not None:
                found(*route)
        elif target.type != NAME or self._waiting_count < MAX_WAITING:
            self._wait(target, found)

    def close(self) -> None:
        self._closed = True

    def _wait(self, target: Address, found: Found) -> None:
        """Keep the datagram until the answer is there. The first datagram to a destination asks the question."""
        self._waiting_count += 1
        if target in self._waiting:
            self._waiting[target].append(found)
        else:
            self._waiting[target] = [found]
            authorize(self._context, UDP_ASSOCIATE, target, lambda answer: self._answered(target, answer))

    def _answered(self, target: Address, answer: Authorization) -> None:
        waiting = self._waiting.pop(target)
        self._waiting_count -= len(waiting)
        if self._closed:
            return
        if len(self._known) >= MAX_DESTINATIONS:
            self._known.clear()
        route = _route(answer)
        self._known[target] = self._context.loop.now + FRESH_SECONDS, route
        for found in waiting:
            if route is not None:
                found(*route)


def _route(answer: Authorization) -> Route | None:
    """Return the first address that may be sent to directly: proxies relay no datagrams for the server."""
    for (_, sockaddr), verdict in answer.permitted.items():
        if not verdict.chain:
            return host_of(sockaddr), sockaddr[1], verdict.source
    return None


class UdpSockets:
    """The outer sockets of an association: one for each source address, made when it is first needed."""

    def __init__(self, loop: Loop, arrived: Arrived) -> None:
        self._loop = loop
        self._arrived = arrived
        self._sockets: dict[str, _originals.Socket] = {}
        # The hosts that the client has sent to, the most recent one last.
        self._hosts: OrderedDict[str, None] = OrderedDict()

    def send(self, data: memoryview, host: str, port: int, source: str | None) -> bool:
        """Send a datagram. Return False if the network, or the socket's buffer, does not take it."""
        try:
            sender = self._sender(source or ("::" if ":" in host else "0.0.0.0"))
            sender.sendto(data, to_sockaddr(host, port))
        except OSError:
            # The datagram is lost, as on any network.
            return False
        literal = host.partition("%")[0]
        self._hosts[literal] = None
        self._hosts.move_to_end(literal)
        if len(self._hosts) > MAX_HOSTS:
            self._hosts.popitem(last=False)
        return True

    def close(self) -> None:
        for stream in self._sockets.values():
            self._loop.discard(stream)
        self._sockets.clear()

    def _sender(self, source: str) -> _originals.Socket:
        """Return the socket that is bound to this literal."""
        sender = self._sockets.get(source)
        if sender is None:
            sender = self._loop.datagrams(socket.AF_INET6 if ":" in source else socket.AF_INET)
            try:
                if ":" in source:
                    _originals.setsockopt(sender, socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                _originals.bind(sender, to_sockaddr(source, 0))
            except OSError:
                self._loop.discard(sender)
                raise
            self._sockets[source] = sender
            self._loop.watch(sender.fileno(), READABLE, lambda *_: self._receive(sender))
        return sender

    def _receive(self, sender: _originals.Socket) -> None:
        scratch = self._loop.pipes.scratch
        for _ in range(BATCH):
            try:
                count, (host, port, *_rest) = sender.recvfrom_into(scratch)
            except BlockingIOError:
                return
            except OSError:
                # An ICMP error about an earlier datagram.
                continue
            host = host.partition("%")[0]
            if host in self._hosts:
                self._arrived(host, port, scratch[:count])
