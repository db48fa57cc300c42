"""Where an association's datagrams may go: answers of the rules and of the resolver, remembered for a moment.

A client sends many datagrams to few destinations. What was remembered is asked anew after ten seconds, so that a reload
counts; and datagrams to a name that is still being looked up are kept, a few.
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Callable

from socksify import _originals
from socksify.config.ip import unmapped
from socksify.protocol.address import NAME, Address
from socksify.protocol.socks5 import UDP_ASSOCIATE
from socksify.server.core.loop import READABLE, Loop
from socksify.server.net.addresses import host_of, to_sockaddr
from socksify.server.net.resolver import candidate_of
from socksify.server.policy.policy import Denied, Permitted

TYPE_CHECKING = False

if TYPE_CHECKING:
    from socksify.server.net.resolver import Candidate
    from socksify.server.session.session import Session

    Way = tuple[str, int, str | None]

FRESH_SECONDS = 10.0
# Destinations remembered; datagrams kept in all, for names that are looked up. So many names are, at most.
MOST = 1024
KEPT = 64

# Called with host, port and the source address to send from.
Found = Callable[[str, int, "str | None"], None]


class Ways:
    """Finds the way to a destination: at once, after a look-up, or never."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[Address, tuple[float, Way | None]] = {}
        self._asked: dict[Address, list[Found]] = {}
        self._kept = 0
        self._closed = False

    def find(self, target: Address, found: Found) -> None:
        """Has `found` called if a datagram for `target` may be sent."""
        until, way = self._known.get(target, (0.0, None))
        if until > self._session.server.loop.now:
            if way is not None:
                found(*way)
        elif target.type != NAME:
            self._learn(target, self._choose(None, [candidate_of(target)]), [found])
        elif self._kept < KEPT:
            self._keep(target, found)

    def close(self) -> None:
        self._closed = True

    def _keep(self, target: Address, found: Found) -> None:
        """Until the name is looked up, which its first datagram brings about; not if nothing may be sent to it."""
        if target in self._asked:
            self._asked[target].append(found)
        elif not isinstance(self._session.verdict(UDP_ASSOCIATE, target.host, None, target.port), Denied):
            self._asked[target] = [found]
            self._look_up(target)
        else:
            return
        self._kept += 1

    def _look_up(self, target: Address) -> None:
        server = self._session.server
        server.resolver.resolve(
            target,
            lambda candidates: self._resolved(target, candidates),
            server.policy.limits.connect_seconds,
            self._session.host,
            server.policy.judges_names,
        )

    def _resolved(self, target: Address, candidates: list[Candidate]) -> None:
        waiting = self._asked.pop(target)
        self._kept -= len(waiting)
        if not self._closed:
            self._learn(target, self._choose(target.host, candidates), waiting)

    def _learn(self, target: Address, way: Way | None, waiting: list[Found]) -> None:
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[target] = self._session.server.loop.now + FRESH_SECONDS, way
        for found in waiting:
            if way is not None:
                found(*way)

    def _choose(self, name: str | None, candidates: list[Candidate]) -> Way | None:
        """The first address that may be sent to; none of those that other proxies are for, who take no datagrams."""
        for _, address in candidates:
            host, port = address[:2]
            verdict = self._session.verdict(UDP_ASSOCIATE, name, unmapped(host), port)
            if isinstance(verdict, Permitted) and not verdict.chain:
                return host_of(address), port, verdict.source
        return None


# The outer side of an association: the sockets that datagrams leave from, and the hosts that may answer.


# Hosts that a client has sent to, and that may therefore send to it; the one that was sent to longest ago is forgotten.
HOSTS = 1024
# Datagrams taken at one event.
BATCH = 32

# Called with the sender's host and port, and what it sent, which is overwritten afterwards.
Arrived = Callable[[str, int, memoryview], None]


class Outside:
    """A socket for each family and source address, made when it is first needed."""

    def __init__(self, loop: Loop, arrived: Arrived) -> None:
        self._loop = loop
        self._arrived = arrived
        self._sockets: dict[str, _originals.Socket] = {}
        self._hosts: OrderedDict[str, None] = OrderedDict()

    def send(self, data: memoryview, host: str, port: int, source: str | None) -> bool:
        """Sends a datagram, unless there is no room for it or no way; whether it was sent."""
        try:
            sender = self._sender(source or ("::" if ":" in host else "0.0.0.0"))
            sender.sendto(data, to_sockaddr(host, port))
        except OSError:
            # As on any network, where datagrams are lost.
            return False
        plain = host.partition("%")[0]
        self._hosts[plain] = None
        self._hosts.move_to_end(plain)
        if len(self._hosts) > HOSTS:
            self._hosts.popitem(last=False)
        return True

    def close(self) -> None:
        for stream in self._sockets.values():
            self._loop.discard(stream)
        self._sockets.clear()

    def _sender(self, source: str) -> _originals.Socket:
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
                # What an earlier datagram met with, told by ICMP.
                continue
            host = host.partition("%")[0]
            if host in self._hosts:
                self._arrived(host, port, scratch[:count])
