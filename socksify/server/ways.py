"""Where an association's datagrams may go: answers of the rules and of the resolver, remembered for a moment.

A client sends many datagrams to few destinations. What was remembered is asked anew after ten seconds, so that a reload
counts; and datagrams to a name that is still being looked up are kept, a few.
"""

from __future__ import annotations

from collections.abc import Callable

from socksify.config.addresses import unmapped
from socksify.protocol.address import NAME, Address
from socksify.protocol.socks5 import UDP_ASSOCIATE
from socksify.server.policy import Denied, Permitted
from socksify.server.resolver import literal
from socksify.server.sockaddr import spelled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.server.resolver import Candidate
    from socksify.server.session import Session

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
            self._learn(target, self._choose(None, [literal(target)]), [found])
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
                return spelled(address), port, verdict.source
        return None
