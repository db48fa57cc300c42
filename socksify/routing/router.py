"""Finds the route of a connection: (settings, socket family, address) -> Direct | Via | Blocked.

A pure decision but for questions to this machine, which are remembered: whether an address is one of its own,
and, where names are resolved here, what a name's address is.
"""

from __future__ import annotations

from socket import AF_INET, AF_INET6, EAI_FAIL, SOCK_STREAM, gaierror

from socksify import _originals
from socksify._originals import monotonic
from socksify._signal_safety import ours
from socksify.config import rules
from socksify.config.ip import fold, parse_ip
from socksify.protocol.address import Address
from socksify.routing import fake_addresses, local_host, log
from socksify.routing.route import Blocked, Direct, Via
from socksify.routing.sockaddr import host_and_port, ip_family, may_be_name, no_such_name, numeric

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from socksify.config.proxy_url import Proxy
    from socksify.config.rules import Rule
    from socksify.config.settings import Settings
    from socksify.routing.sockaddr import SockAddress

_DOMAIN = 53


class Router:
    """Routes connections by one Settings; remembers its answers, since a client asks the same again and again."""

    # Answers kept, and for how many seconds: the machine may be given other addresses of its own.
    _MEMORY = 4096
    _FRESH = 10.0

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._known: dict[tuple[int, SockAddress], Direct | Via | Blocked] = {}
        self._own: dict[str, bool] = {}
        self._forget_at = monotonic() + self._FRESH
        self._first_hops = _first_hops(settings)
        chains = [settings.chain(rule.via) for rule in (settings.default, *settings.rules)]
        # Whether names are left to any proxy at all.
        self._is_remote = any(chain and self._remote_names(chain) for chain in chains)
        # Whether anything is not direct.
        self.routes = any(rule.via != "direct" for rule in _before_the_last((*settings.rules, settings.default)))

    def decide(self, family: int, address: object) -> Direct | Via | Blocked:
        """The route of a stream socket of `family` that is to connect to `address`, a sockaddr as Python writes it.

        What the stdlib refuses as malformed is Direct, so that the stdlib refuses it. Raises gaierror for a name that
        has to be resolved here and cannot be, and for one that cannot be anybody's.
        """
        if family != AF_INET and family != AF_INET6:
            family = ip_family(family) or family
            if family != AF_INET:
                return Direct()
        if not isinstance(address, tuple):
            return Direct()
        if monotonic() > self._forget_at:
            self._forget()
        try:
            # No bytes in keys: to compare them to str is what `python -bb` forbids.
            known = self._known.get((family, address)) if isinstance(address[0], str) else None
        except ours(TypeError, IndexError):  # what the stdlib will refuse
            known = None
        # 80.0 and True equal a port, the one is none to the stdlib.
        return known if known is not None and type(address[1]) is int else self._decide(family, address)

    def is_faked(self, name: str, port: int | None = None) -> bool:
        """Whether a look-up of this name is answered with a fake address, because its proxy is to be given the name.

        Raises gaierror where the name is for a proxy that takes none.
        """
        if (fold(name), port) in self._first_hops:
            return False
        via, _ = rules.decide_name(self.settings.rules, name, port, self.settings.default)
        if via == "direct":
            return False
        # A blocked one gets an address, too, so that it is connect() which tells why.
        return via == "block" or self._takes_names(self.settings.chain(via))

    def why_here(self, name: str, port: int | None) -> str:
        """The rule by which a name is resolved on this machine."""
        return rules.decide_name(self.settings.rules, name, port, self.settings.default)[1].text

    def reverse_is_native(self, address: str) -> bool:
        """Whether this machine's resolver may be asked whose an address is.

        Only where a rule of the user's makes it direct or its proxy leaves names to this machine; of the machine's
        own addresses nobody else knows anything.
        """
        via, rule = rules.decide_name(self.settings.rules, address, None, self.settings.default)
        if via == "direct":
            return rule not in rules.BUILT_IN
        return via != "block" and not self._remote_names(self.settings.chain(via)) and not self.is_own(address)

    def unknown_fake(self, literal: str, port: int = 0) -> str | None:
        """What is wrong with an address that was made up by somebody else, or has been dropped; None for a real one."""
        # Where this router makes up none, another scope's may have.
        if not (self._is_remote or len(fake_addresses.TABLE)) or not fake_addresses.TABLE.is_fake(literal):
            return None
        if self._is_spoken_of(literal, port):
            return None
        return f"{literal} is a fake address that stands for no name in this process (any more)"

    def is_own(self, ip: str) -> bool:
        """Whether an address is one of this machine's."""
        own = self._own.get(ip)
        if own is None:
            if len(self._own) >= self._MEMORY:
                self._forget()
            own = self._own[ip] = local_host.is_own(ip)
        return own

    def _decide(self, family: int, address: SockAddress) -> Direct | Via | Blocked:
        parsed = host_and_port(family, address)
        if parsed is None:
            return Direct()
        host, port = parsed
        literal = numeric(host)
        if literal is None:
            if not may_be_name(host):
                raise no_such_name()
            return self._by_name(family, host, port, address)
        # getaddrinfo(3) unmaps a mapped address for an IPv4 socket; all else of the other family it refuses.
        fits = ":" in host if family == AF_INET6 else ":" not in literal
        if host and not fits:
            return Direct()
        if fake_addresses.TABLE.is_fake(literal):
            name = fake_addresses.TABLE.name_of(literal)
            if name is not None:
                return self._by_name(family, name, port, address, literal)
            why = self.unknown_fake(literal, port)
            if why is not None:
                return Blocked(why)
        route = self._by_literal(family, literal, port, address)
        if isinstance(address[0], str):
            self._remember(family, address, route)
        return route

    def _by_literal(self, family: int, literal: str, port: int, address: SockAddress) -> Direct | Via | Blocked:
        if (literal, port) in self._first_hops:
            return Direct(rules.PROXY_ITSELF)
        via, rule = self._rule(None, literal, port)
        if via == "direct":
            return self._forwarding(literal, port, rule) or Direct(rule)
        if via == "block":
            return _blocked(rule)
        return Via(self.settings.chain(via), Address.of(literal, port), _peer(family, literal, port, address), rule)

    def _by_name(
        self, family: int, name: str, port: int, address: SockAddress, fake: str | None = None
    ) -> Direct | Via | Blocked:
        """The route to a name; `fake` is the address by which the client meant it, if it gave one."""
        if (fold(name), port) in self._first_hops:
            return Direct(rules.PROXY_ITSELF, self._resolve(family, name, port, rules.PROXY_ITSELF) if fake else None)
        here = local_host.address_here(name, family)
        via, rule = self._rule(name, here, port)
        if via == "direct":
            if here is not None:
                return self._forwarding(name, port, rule) or Direct(
                    rule, _originals.InternalAddress((here, port, *address[2:]))
                )
            return Direct(rule, self._resolve(family, name, port, rule) if fake else None)
        if via == "block":
            return _blocked(rule)
        chain = self.settings.chain(via)
        if not self._takes_names(chain):
            return self._decide(family, self._resolve(family, name, port, rule))
        try:
            target = Address.of(name, port)
        except ours(ValueError):  # too long
            raise no_such_name() from None
        peer = fake or fake_addresses.TABLE.address_of(name, family)
        return Via(chain, target, _peer(family, peer, port, address), rule)

    def _resolve(self, family: int, name: str, port: int, rule: Rule) -> SockAddress:
        try:
            return resolve(family, name, port)
        except gaierror as error:
            log.unresolved(name, rule.text, error)
            raise

    def _rule(self, name: str | None, literal: str | None, port: int) -> tuple[str, Rule]:
        return rules.decide(self.settings.rules, name, literal, port, self.is_own, self.settings.default)

    def _forwarding(self, host: str, port: int, rule: Rule) -> Blocked | None:
        """A name server on this machine passes on what it is asked: the question would leave, if not from here.

        It may listen on every address of the machine's, so all of them count, by whatever name.
        """
        if port != _DOMAIN or rule.source != "built in" or not self._is_remote or not local_host.asks_itself():
            return None
        allow = f"[{host}]:{port}=direct" if ":" in host else f"{host}:{port}=direct"
        return Blocked(f"names are resolved by the proxy, and this name server would ask others; {allow!r} allows it")

    def _is_spoken_of(self, literal: str, port: int) -> bool:
        """Whether a rule of the user's names the network that an address is in: then it is no made-up one."""
        number = parse_ip(literal)
        first = next((rule.match for rule in self.settings.rules if rule.match.covers(None, number, port)), None)
        return first is not None and first.network is not None

    def _takes_names(self, chain: tuple[Proxy, ...]) -> bool:
        """Whether the last proxy is to be given names; raises gaierror if it is, and has no words for them."""
        remote = self._remote_names(chain)
        if remote and chain[-1].scheme == "socks4":
            raise gaierror(
                EAI_FAIL,
                f"proxy {chain[-1].url} takes no names: SOCKS4 has addresses only; use socks4a:// if it knows that"
                " extension, an address instead of the name, or dns=local to resolve names here",
            )
        return remote

    def _remote_names(self, chain: tuple[Proxy, ...]) -> bool:
        """DESIGN: the scheme of the proxy that gets the name decides, as in curl, unless `dns` does."""
        if self.settings.dns == "auto":
            return chain[-1].remote_names
        return self.settings.dns == "remote"

    def _forget(self) -> None:
        self._known.clear()
        self._own.clear()
        self._forget_at = monotonic() + self._FRESH

    def _remember(self, family: int, address: SockAddress, route: Direct | Via | Blocked) -> None:
        if len(self._known) >= self._MEMORY:
            self._forget()
        self._known[family, address] = route


def resolve(family: int, name: str, port: int) -> SockAddress:
    """Resolve a name here, natively; raises gaierror."""
    answers: list[Any] = _originals.getaddrinfo(_originals.InternalHost(name.encode()), port, family, SOCK_STREAM)
    fake_addresses.TABLE.mark_real(answer[4][0] for answer in answers)
    address: SockAddress = _originals.InternalAddress(answers[0][4])
    return address


def _before_the_last(ruled: tuple[Rule, ...]) -> Iterator[Rule]:
    """The rules up to one that makes everything direct."""
    for rule in ruled:
        if rule.text == "*=direct":
            return
        yield rule


def _blocked(rule: Rule) -> Blocked:
    return Blocked(f"blocked by rule {rule.text!r} ({rule.source})", rule)


def _first_hops(settings: Settings) -> frozenset[tuple[str, int]]:
    """The first hops, which are always reached directly: a rule that sent them through themselves would never end."""
    firsts = [settings.proxy[:1], *(chain[:1] for chain in settings.proxies.values())]
    return frozenset(
        (numeric(hop.host) or fold(hop.host), hop.port) for first in firsts for hop in first if not hop.path
    )


def _peer(family: int, host: str, port: int, address: SockAddress) -> SockAddress:
    """What getpeername() is to say: an address of the socket's own family."""
    if family == AF_INET:
        return (host, port)
    scoped = (*address[2:], 0, 0)[:2]
    return (host if ":" in host else f"::ffff:{host}", port, *scoped)
