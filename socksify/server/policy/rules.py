"""The server's rules: who may ask for what. The first match wins; what none matches is denied.

What is not known yet does not match and is not passed over: of a name, rules on networks can say nothing until it is
resolved, and of the peer of a BIND or the datagrams of an association nothing until they come. So the answer to whether
a rule reaches a destination is yes, no, or not yet.
"""

from __future__ import annotations

from socksify._record import Record
from socksify.config import rules
from socksify.config.match import Match, parse
from socksify.config.settings import Settings
from socksify.protocol.socks5 import BIND, CONNECT, UDP_ASSOCIATE
from socksify.server.policy.protected import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from socksify.config.ip import IPNumber
    from socksify.config.proxy_url import Proxy
    from socksify.server.policy.protected import Destination

COMMANDS = {"connect": CONNECT, "bind": BIND, "associate": UDP_ASSOCIATE}
EVERY_COMMAND = frozenset(COMMANDS.values())


class AccessRule(Record):
    """Permits or denies. `text` is it for people to read, `source` where it stands.

    It is about clients in any of the networks `clients`, about `users` (None: whoever it is), `commands`, and
    `destinations`; empty means all. `verified` says that nobody is meant who has not authenticated, `claimed` that
    SOCKS4's mere claim is enough to be a user. `reserved` and `ident` are Permitted's.
    """

    text: str
    source: str
    permit: bool
    clients: tuple[Match, ...] = ()
    users: frozenset[bytes] | None = None
    verified: bool = False
    claimed: bool = False
    commands: frozenset[int] = EVERY_COMMAND
    destinations: tuple[Match, ...] = ()
    reserved: bool = False
    ident: str = ""

    @property
    def of_everybody(self) -> bool:
        """Whether all that a client might ask for is decided, whoever the user."""
        return self.users is None and not self.verified and not self.destinations and self.commands == EVERY_COMMAND

    def is_about(self, client: IPNumber | None) -> bool:
        """Whether the rule is about demands of this client."""
        return not self.clients or any(match.covers(None, client, 0) for match in self.clients)

    def applies(self, client: IPNumber | None, user: bytes | None, userid: bytes, command: int) -> bool:
        """Whether the rule is about this command of this client's user."""
        if command not in self.commands or (self.verified and user is None) or not self.is_about(client):
            return False
        if self.users is None:
            return True
        return (userid if user is None and self.claimed else user) in self.users

    def reaches(self, to: Destination) -> bool | None:
        """Whether the rule is about a destination; None if that cannot be said yet."""
        if not self.destinations:
            # Permitting everything is not meant for what is guarded, denying everything is.
            return to.guard is None or not self.permit
        if to.anyone:
            return None
        reached = self._permits if self.permit else self._denies
        if reached(to):
            return True
        return None if to.address is None and self._may_reach(to.port) else False

    def _permits(self, to: Destination) -> bool:
        """What is guarded has to be named, by its address or a network of nothing else."""
        return any(
            match.covers(to.name, to.address, to.port)
            for match in self.destinations
            if to.guard is None or names(match.network, to.guard)
        )

    def _denies(self, to: Destination) -> bool:
        """In other words it is denied, too."""
        return any(
            match.covers(to.name, address, to.port)
            for match in self.destinations
            for address in (to.address, *to.aliases)
        )

    def _may_reach(self, port: int) -> bool:
        """Whether an address of the name might be reached."""
        return any(
            match.network is not None and match.ports[0] <= port <= match.ports[1] for match in self.destinations
        )


def first(
    rules: Iterable[AccessRule],
    client: IPNumber | None,
    user: bytes | None,
    userid: bytes,
    command: int,
    to: Destination,
) -> AccessRule | None:
    """The rule that decides, NOBODY at last; None if that depends on which addresses a name has.

    For anyone as the destination it is the first that permits some, unless all are denied before it.
    """
    for rule in rules:
        if not rule.applies(client, user, userid, command):
            continue
        reached = rule.reaches(to)
        if reached or (reached is None and to.anyone and rule.permit):
            return rule
        if reached is None and not to.anyone:
            return None
    return NOBODY


def _here() -> tuple[Match, ...]:
    return tuple(parse(text, "built in") for text in ("127.0.0.0/8", "::1"))


# What stands at the end of all rules, and before that, where nothing else is configured, the one or the other.
NOBODY = AccessRule("deny", "built in", False)
LOCAL = AccessRule("permit from this machine", "built in", True, clients=_here())
EVERYBODY = AccessRule("permit", "built in", True)


# How a destination that is permitted is reached: through which proxies, and from which of the server's addresses.


class Source(Record):
    """Destinations of a `match`, which are reached from the own address `literal`.

    `text` is the match as it was written, `where` the place where it was written.
    """

    match: Match
    literal: str
    text: str = ""
    where: str = ""


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
        matches = [*(rule.match for rule in upstream), *(source.match for source in self.sources)]
        return any(match.is_of_names for match in matches)

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
