"""The policy of a server: which client may connect, what a client may ask for, and how long that may take.

Questions and answers are frozen values: a session knows nothing about rules, users or files, and the rules know nothing
about sockets. A reload replaces the policy. A session always asks the policy in force. A request that was permitted
stays permitted.
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
from socksify.server.policy.limits import Denied as Denied  # it is an answer of the policy, too
from socksify.server.policy.limits import Limits
from socksify.server.policy.protected import ANYONE, Destination, destination, reads_as_address
from socksify.server.policy.rules import LOCAL, NOBODY, AccessRule, Routes, first_match

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from socksify.config.ip import IPNumber
    from socksify.config.proxy_url import Proxy

    class Verifier(Protocol):
        """Verifies users. Any thread may call it."""

        def verify(self, user: bytes, password: bytes) -> bool:
            """Return True if this is the user's password. It may take long."""

        def remembers(self, user: bytes, password: bytes) -> bool:
            """Return True if it is known that this is the user's password. It must take no time."""


# How long a decision is remembered: an interface may get another address. How many decisions are remembered.
_FRESH_SECONDS = 10.0
_MAX_REMEMBERED = 1024
_UNDECIDED = 0.0, None
_LIMITS = Limits()
_ROUTES = Routes()


# A tuple, because each connection makes several demands, and a Record takes three times as long to make.
class Demand(NamedTuple):
    """A client's demand, about which the rules are asked.

    `client` is the client's address, as for `Policy.admit`. `user` is the user whose password was verified, None
    without authentication. `userid` is the user id of SOCKS4, which nobody has verified. `command` is one of
    `protocol.socks5`.

    The destination is a name, or a literal, or both after the name was resolved: each address of a name is one demand.
    For a BIND the destination is the peer that is awaited (the unspecified address for anyone), and later the peer that
    has connected. For a UDP ASSOCIATE there is no destination at first (no name, no address, port 0), and then the
    destination of each datagram.
    """

    client: str
    user: bytes | None
    userid: bytes
    command: int
    name: str | None
    address: str | None
    port: int

    def __repr__(self) -> str:
        """Return a text that does not identify the client."""
        return f"Demand(command={self.command}, name={self.name!r}, address={self.address!r}, port={self.port})"


class Admission(Record):
    """The answer that a client may negotiate.

    `methods` are the authentication methods of SOCKS5 that are offered, the preferred method first. SOCKS4, which has
    no passwords, is served if NO_AUTHENTICATION is one of them.
    """

    methods: tuple[int, ...] = (NO_AUTHENTICATION,)


class Permitted(Record):
    """The answer that a demand is permitted. `rule` names the place of the rule that decided, for people to read.

    `source` is the server's address to use, None for the kernel's choice. `chain` are the proxies to go through, first
    hop first. `reserved` is True if a client with a source port below 1024 is served from such a port. `ident` is "" if
    the client's identd is not asked. With "i", the demand is denied if identd contradicts the client. With "I", it is
    denied also if identd does not answer.
    """

    rule: str = ""
    source: str | None = None
    chain: tuple[Proxy, ...] = ()
    reserved: bool = False
    ident: str = ""


class Policy:
    """The rules, with the verifier of users, the limits, and the routes to permitted destinations.

    By default everything is permitted to clients of this machine, and nothing to others. `is_own` returns True for a
    literal that is an address of this machine. Answers are remembered, because the event loop waits for each answer.
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
        # True if any rule wants the answer of the client's identd.
        self.identifies = any(rule.ident for rule in rules)
        # True if a rule or a route is about names. Then a name is looked up as the client gave it. The search list of
        # this machine would turn it into another name, about which no rule was asked.
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
        """Return whether a client that has just connected may negotiate. A denied client gets no answer.

        `client` is the literal of its address (an IPv4-mapped one as IPv4), empty on a Unix socket.
        """
        admission = self._admitted.get(client)
        if admission is None:
            if len(self._admitted) >= _MAX_REMEMBERED:
                self._admitted.clear()
            admission = self._admitted[client] = self._admission(_number(client))
        return admission

    def verify(self, user: bytes, password: bytes) -> bool:
        """Return True if this is the user's password. It is slow on purpose: never call it in the loop's thread."""
        return self.users is not None and self.users.verify(user, password)

    def remembers(self, user: bytes, password: bytes) -> bool:
        """Return True if this login was verified before. It takes no time."""
        return self.users is not None and self.users.remembers(user, password)

    def asks_ident(self, client: str) -> bool:
        """Return True if a rule about this client wants the answer of its identd."""
        return any(rule.ident and rule.is_about(_number(client)) for rule in self.rules)

    def decide(self, demand: Demand) -> Permitted | Denied | None:
        """Return whether a demand is permitted, None if a rule on networks decides and the name is not resolved yet.

        The caller then resolves a permitted name, and asks about each of its addresses as well, unless the last proxy
        of the chain resolves names.
        """
        now = monotonic()
        until, verdict = self._decided.get(demand, _UNDECIDED)
        if until <= now:
            if len(self._decided) >= _MAX_REMEMBERED:
                self._decided.clear()
            verdict = self._verdict(demand)
            self._decided[demand] = now + _FRESH_SECONDS, verdict
        return verdict

    def explain(self, demand: Demand) -> tuple[AccessRule | None, Destination]:
        """Return the rule that decides and the destination in the form that rules compare.

        The rule is None if the decision depends on the addresses of a name.
        """
        client = _number(demand.client)
        to = self._destination(demand, client)
        return first_match(self.rules, client, demand.user, demand.userid, demand.command, to), to

    def _admission(self, client: IPNumber | None) -> Admission | Denied:
        methods = set()
        for rule in self.rules:
            if rule.is_about(client):
                if rule.permit:
                    methods.add(USERNAME_PASSWORD if rule.verified else NO_AUTHENTICATION)
                elif rule.is_unconditional:
                    break
        if not methods:
            return Denied("no rule permits anything to this client")
        # Authentication is preferred: without it, rules about users would never match.
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
        # SOCKS4's memo, "If the DSTIP is 0": the BIND is for any peer. The rules are asked again about the peer that
        # has connected.
        if demand.command == BIND and demand.name is None and demand.address in ("0.0.0.0", "::"):
            return ANYONE
        is_own = None if LOCAL.is_about(client) else self._is_own
        return destination(demand.name, demand.address, demand.port, is_own)


def _number(client: str) -> IPNumber | None:
    """Return a client's address in the form that rules compare. The client of a Unix socket is on this machine."""
    return parse_ip(client or "127.0.0.1")


def _why(rule: AccessRule, to: Destination) -> str:
    if rule is not NOBODY:
        return f"denied by {rule.source}"
    return f"{to.guard.what} is open to local clients alone" if to.guard else "no rule permits it"
