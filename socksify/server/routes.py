"""How a destination that is permitted is reached: through which proxies, and from which of the server's addresses."""

from __future__ import annotations

from socksify._record import Record
from socksify.config import rules
from socksify.config.settings import Rule as Match
from socksify.config.settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.config.settings import Proxy
    from socksify.server.destinations import Destination


class Source(Record):
    """Destinations of a `match`, which are reached from the own address `literal`."""

    match: Match
    literal: str


class Routes(Record):
    """`upstream` holds MATCH=VIA rules and the proxies they mean, as a client has them; of `sources` the first match
    of the destination's family counts.
    """

    upstream: Settings | None = None
    sources: tuple[Source, ...] = ()

    @property
    def judge_names(self) -> bool:
        """Whether the way depends on the destination's name."""
        upstream = () if self.upstream is None else self.upstream.rules
        return any(match.is_of_names for match in (*upstream, *(source.match for source in self.sources)))

    def chain(self, to: Destination, literal: str | None) -> tuple[Proxy, ...] | None:
        """The proxies to go through, first hop first, none for the direct way; None where the way is blocked."""
        if self.upstream is None:
            return ()
        via, _ = rules.decide(self.upstream.rules, to.name, literal, to.port)
        return None if via == "block" else self.upstream.chain(via)

    def source(self, to: Destination) -> str | None:
        """The own address for a destination that is not gone to through proxies; None for the kernel's choice."""
        if to.address is None:
            return None
        for source in self.sources:
            if (":" in source.literal) == (to.address[0] == 128) and source.match.covers(to.name, to.address, to.port):
                return source.literal
        return None
