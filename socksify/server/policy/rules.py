"""The server's rules: what a client may ask for, and how a permitted destination is reached.

The first rule that matches decides. A demand that no rule matches is denied. A rule on networks cannot say anything
about a name that is not resolved, nor about a peer of a BIND or a target of a datagram that is not known yet. Such a
rule must not be skipped. So there are three answers to the question whether a rule reaches a destination: yes, no, and
not known yet.

Routes say through which proxies a permitted destination is reached, and from which address of the server.
"""

from __future__ import annotations

from socksify._record import Record
from socksify.config import rules
from socksify.config.match import Match, parse
from socksify.config.settings import Settings
from socksify.protocol.socks5 import BIND, CONNECT, UDP_ASSOCIATE
from socksify.server.policy.protected import is_inside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from socksify.config.ip import IPNumber
    from socksify.config.proxy_url import Proxy
    from socksify.server.policy.protected import Destination

COMMANDS = {"connect": CONNECT, "bind": BIND, "associate": UDP_ASSOCIATE}
EVERY_COMMAND = frozenset(COMMANDS.values())


class AccessRule(Record):
    """A rule that permits or denies. `text` is the rule as it was written, `source` the place where it was written.

    The rule is about clients in any of the networks `clients`, about `users` (None for all), about `commands`, and
    about `destinations`; an empty tuple means all. `verified` restricts the rule to users who have authenticated.
    `claimed` lets the user id of SOCKS4, which nobody has verified, count as the user. `reserved` and `ident` are as in
    `Permitted`.
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
    def is_unconditional(self) -> bool:
        """True if the rule decides everything that its clients can ask for, for all users."""
        return self.users is None and not self.verified and not self.destinations and self.commands == EVERY_COMMAND

    def is_about(self, client: IPNumber | None) -> bool:
        """Return True if the rule is about this client."""
        return not self.clients or any(match.covers(None, client, 0) for match in self.clients)

    def applies(self, client: IPNumber | None, user: bytes | None, userid: bytes, command: int) -> bool:
        """Return True if the rule is about this command of this client's user.

        `client` is the client's address. `user` is the verified user or None, `userid` is the user id of SOCKS4.
        """
        if command not in self.commands or (self.verified and user is None) or not self.is_about(client):
            return False
        if self.users is None:
            return True
        return (userid if user is None and self.claimed else user) in self.users

    def reaches(self, to: Destination) -> bool | None:
        """Return True if the rule is about the destination `to`, None if that is not known yet."""
        if not self.destinations:
            # A rule that permits everything does not permit guarded destinations. A rule that denies everything does
            # deny them.
            return to.guard is None or not self.permit
        if to.is_anyone:
            return None
        reached = self._permits if self.permit else self._denies
        if reached(to):
            return True
        return None if to.address is None and self._may_reach(to.port) else False

    def _permits(self, to: Destination) -> bool:
        """Match a rule that permits, which must name a guarded destination by a network inside of its guard."""
        return any(
            match.covers(to.name, to.address, to.port)
            for match in self.destinations
            if to.guard is None or is_inside(match.network, to.guard)
        )

    def _denies(self, to: Destination) -> bool:
        """Match a rule that denies. An IPv6 address is denied if an IPv4 address that it stands for is."""
        return any(
            match.covers(to.name, address, to.port)
            for match in self.destinations
            for address in (to.address, *to.aliases)
        )

    def _may_reach(self, port: int) -> bool:
        """Return True if the rule may be about an address of a name that is not resolved."""
        return any(
            match.network is not None and match.ports[0] <= port <= match.ports[1] for match in self.destinations
        )


def first_match(
    rules: Iterable[AccessRule],
    client: IPNumber | None,
    user: bytes | None,
    userid: bytes,
    command: int,
    to: Destination,
) -> AccessRule | None:
    """Return the first of `rules` that decides, or NOBODY if none of them does.

    Return None if the decision depends on the addresses of a name. The other arguments are those of
    `AccessRule.applies` and `AccessRule.reaches`. If the destination is anyone, the first rule that permits some
    destination decides, unless a rule before it denies all.
    """
    for rule in rules:
        if not rule.applies(client, user, userid, command):
            continue
        reached = rule.reaches(to)
        if reached or (reached is None and to.is_anyone and rule.permit):
            return rule
        if reached is None and not to.is_anyone:
            return None
    return NOBODY


def _here() -> tuple[Match, ...]:
    return tuple(parse(text, "built in") for text in ("127.0.0.0/8", "::1"))


# NOBODY comes after all rules. LOCAL or EVERYBODY comes before it if nothing is configured.
NOBODY = AccessRule("deny", "built in", False)
LOCAL = AccessRule("permit from this machine", "built in", True, clients=_here())
EVERYBODY = AccessRule("permit", "built in", True)


class Source(Record):
    """The address `literal` of the server, from which the destinations of `match` are reached.

    `text` is the match as it was written, `where` the place where it was written.
    """

    match: Match
    literal: str
    text: str = ""
    where: str = ""


class Routes(Record):
    """How destinations are reached.

    `upstream` has MATCH=VIA rules and the proxies that they name, as in a client's settings. The first of `sources`
    that matches and has the destination's address family is used.
    """

    upstream: Settings | None = None
    sources: tuple[Source, ...] = ()

    @property
    def judge_names(self) -> bool:
        """True if a route or a source depends on the destination's name."""
        upstream = () if self.upstream is None else self.upstream.rules
        matches = [*(rule.match for rule in upstream), *(source.match for source in self.sources)]
        return any(match.is_of_names for match in matches)

    def chain(self, to: Destination, literal: str | None) -> tuple[Proxy, ...] | None:
        """Return the proxies to go through, first hop first. Without proxies, the destination is reached directly.

        Return None if a route blocks the destination. `to` is the destination. `literal` is the destination's address
        as text, None if it is not known.
        """
        if self.upstream is None:
            return ()
        via, _ = rules.decide(self.upstream.rules, to.name, literal, to.port)
        return None if via == "block" else self.upstream.chain(via)

    def source(self, to: Destination) -> str | None:
        """Return the server's address for a destination that is reached directly, None for the kernel's choice."""
        if to.address is None:
            return None
        for source in self.sources:
            if (":" in source.literal) == (to.address[0] == 128) and source.match.covers(to.name, to.address, to.port):
                return source.literal
        return None
