"""What the server asks of its rules: who may connect, what they may ask for, and how long it may take.

The questions and answers are frozen values, so that a session needs to know nothing of rules, users or files, and
the rules nothing of sockets. A reload puts another Policy in this one's place; a session asks the one that is there
at the time, and what was permitted stays so.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import NamedTuple

from socksify._originals import monotonic
from socksify._record import Record
from socksify.config.ip import parse_ip
from socksify.config.rules import never
from socksify.protocol.socks5 import BIND, NO_AUTHENTICATION, USERNAME_PASSWORD
from socksify.server.policy.limits import Denied as Denied  # one of the answers here, too
from socksify.server.policy.limits import Limits
from socksify.server.policy.protected import ANYONE, Destination, destination, reads_as_address
from socksify.server.policy.rules import LOCAL, NOBODY, AccessRule, Routes, first

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from socksify.config.ip import IPNumber
    from socksify.config.proxy_url import Proxy

    class Verifier(Protocol):
        """Who knows the users; called by any thread."""

        def verify(self, user: bytes, password: bytes) -> bool:
            """Whether this is the user's password, however long that takes to find out."""

        def remembers(self, user: bytes, password: bytes) -> bool:
            """Whether it is known to be, which takes no time."""


# How long a decision is remembered, since an interface may get another address, and how many answers are.
_FRESH_SECONDS = 10.0
_MOST = 1024
_UNDECIDED = 0.0, None
_LIMITS = Limits()
_ROUTES = Routes()


# A tuple, because each connection makes one: a Record takes three times as long.
class Demand(NamedTuple):
    """What a client asks for.

    `client` is its address, as for `Policy.admit`; `user` was verified, None without authentication; `userid` is
    SOCKS4's mere claim. `command` is one of `protocol.socks5`. The destination is a name, or a literal, or both once
    the name was resolved: every address of a name is asked about apart. For a BIND it is the peer that is awaited (the
    unspecified address for anyone) and later the one that came; for a UDP ASSOCIATE nobody at first (no name, no
    address, port 0), then each datagram's.
    """

    client: str
    user: bytes | None
    userid: bytes
    command: int
    name: str | None
    address: str | None
    port: int

    def __repr__(self) -> str:
        """Without who asks."""
        return f"Demand(command={self.command}, name={self.name!r}, address={self.address!r}, port={self.port})"


class Admission(Record):
    """A client that may negotiate. `methods` are those of SOCKS5, the one that is liked best first.

    SOCKS4, which has no passwords, is served where NO_AUTHENTICATION is one of them.
    """

    methods: tuple[int, ...] = (NO_AUTHENTICATION,)


class Permitted(Record):
    """Go ahead; `rule` says which rule decided, for people to read.

    `source` is the own address to do it from, None for the kernel's choice. `chain` are the proxies to go through,
    first hop first. `reserved` says that a client's source port below 1024 is answered by such a one. `ident` is "" for
    no question to the client's identd, "i" where only a contradiction counts, "I" where silence does, too.
    """

    rule: str = ""
    source: str | None = None
    chain: tuple[Proxy, ...] = ()
    reserved: bool = False
    ident: str = ""


class Policy:
    """The rules in force, with who verifies users, the limits, and the ways to what is permitted.

    Without configuration: everything for clients of this machine, nothing for others. `is_own` tells whether a literal
    is an address of this machine. Answers are remembered, because an event loop waits for them.
    """

    def __init__(
        self,
        rules: tuple[AccessRule, ...] = (LOCAL,),
        users: Verifier | None = None,
        limits: Limits = _LIMITS,
        routes: Routes = _ROUTES,
        is_own: Callable[[str], bool] = never,
    ) -> None:
        self.rules = rules
        self.users = users
        self.limits = limits
        self.routes = routes
        self._is_own = is_own
        # Whether any rule wants to know what a client's identd says: where none does, nobody need be asked about.
        self.identifies = any(rule.ident for rule in rules)
        # Whether names decide anything. Then a name is looked up as it was asked for: the search list of this machine
        # would turn one name, which was judged, into another, which was not.
        self.judges_names = (
            any(match.is_of_names for rule in rules for match in rule.destinations) or routes.judge_names
        )
        self._admitted: dict[str, Admission | Denied] = {}
        self._decided: dict[Demand, tuple[float, Permitted | Denied | None]] = {}

    def with_limits(self, limits: Limits) -> Policy:
        """Return this policy with other limits. It shares the answers that are remembered."""
        policy = copy.copy(self)
        policy.limits = limits
        return policy

    def admit(self, client: str) -> Admission | Denied:
        """Whether a client that has just connected may negotiate. A denied one is closed without an answer.

        It is known by its address: a literal (an IPv4-mapped one as IPv4), empty on a Unix socket.
        """
        admission = self._admitted.get(client)
        if admission is None:
            if len(self._admitted) >= _MOST:
                self._admitted.clear()
            admission = self._admitted[client] = self._admission(_number(client))
        return admission

    def verify(self, user: bytes, password: bytes) -> bool:
        """Whether a user may come in. Slow on purpose, so it is called off the event path, by any thread."""
        return self.users is not None and self.users.verify(user, password)

    def remembers(self, user: bytes, password: bytes) -> bool:
        """Whether a user has come in before, who need not wait for others to be verified."""
        return self.users is not None and self.users.remembers(user, password)

    def asks_ident(self, client: str) -> bool:
        """Whether a rule might want to know what the client's identd says."""
        return any(rule.ident and rule.is_about(_number(client)) for rule in self.rules)

    def decide(self, demand: Demand) -> Permitted | Denied | None:
        """Whether a demand is met; None where a name has first to be resolved, because rules on networks decide.

        A name that is permitted is resolved and each address asked about all the same, unless its chain takes names.
        """
        now = monotonic()
        until, verdict = self._decided.get(demand, _UNDECIDED)
        if until <= now:
            if len(self._decided) >= _MOST:
                self._decided.clear()
            verdict = self._verdict(demand)
            self._decided[demand] = now + _FRESH_SECONDS, verdict
        return verdict

    def explain(self, demand: Demand) -> tuple[AccessRule | None, Destination]:
        """The rule that decides, None if that depends on a name's addresses, and the destination as rules see it."""
        client = _number(demand.client)
        to = self._destination(demand, client)
        return first(self.rules, client, demand.user, demand.userid, demand.command, to), to

    def _admission(self, client: IPNumber | None) -> Admission | Denied:
        methods = set()
        for rule in self.rules:
            if rule.is_about(client):
                if rule.permit:
                    methods.add(USERNAME_PASSWORD if rule.verified else NO_AUTHENTICATION)
                elif rule.of_everybody:
                    break
        if not methods:
            return Denied("no rule permits anything to this client")
        # Who may say who it is should: rules for users come to nothing else.
        return Admission(tuple(sorted(methods, reverse=True)))

    def _verdict(self, demand: Demand) -> Permitted | Denied | None:
        rule, to = self.explain(demand)
        if rule is None:
            return None
        if not rule.permit:
            return Denied(_why(rule, to))
        chain = self.routes.chain(to, demand.address)
        if chain is None:
            return Denied("a route blocks it")
        if chain and to.address is None and to.name is not None and reads_as_address(to.name):
            return None
        source = None if chain else self.routes.source(to)
        return Permitted(rule.source, source, chain, rule.reserved, rule.ident)

    def _destination(self, demand: Demand, client: IPNumber | None) -> Destination:
        # "If the DSTIP is 0" a BIND is for whoever comes; who has come is asked about again.
        if demand.command == BIND and demand.name is None and demand.address in ("0.0.0.0", "::"):
            return ANYONE
        is_own = None if LOCAL.is_about(client) else self._is_own
        return destination(demand.name, demand.address, demand.port, is_own)


def _number(client: str) -> IPNumber | None:
    """A client's address as rules compare it; on a Unix socket it is of this machine."""
    return parse_ip(client or "127.0.0.1")


def _why(rule: AccessRule, to: Destination) -> str:
    if rule is not NOBODY:
        return f"denied by {rule.source}"
    return f"{to.guard.what} is open to local clients alone" if to.guard else "no rule permits it"
