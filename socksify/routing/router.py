"""Finds the route of a connection: (settings, socket family, address) -> Direct | Via | Blocked.

The decision is pure, except for two questions to this machine, whose answers are cached: whether an address is one of
its own, and the address of a name, if names are resolved here.
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
    from collections.abc import Container, Iterator
    from typing import Any

    from socksify.config.proxy_url import Proxy
    from socksify.config.rules import Rule
    from socksify.config.settings import Settings
    from socksify.routing.sockaddr import SockAddress

    # The host as a literal or a folded name, and the port.
    FirstHop = tuple[str, int]

_DOMAIN = 53


class Router:
    """Routes connections by one Settings. Answers are cached, because a client asks the same questions many times."""

    # The number of cached answers, and their age in seconds: the addresses of the machine may change.
    _MEMORY = 4096
    _FRESH = 10.0

    def __init__(self, settings: Settings, first_hops: Container[FirstHop] = ()) -> None:
        """`first_hops` are direct like the first hops of the settings. After they have changed, call forget()."""
        self.settings = settings
        self._known: dict[tuple[int, SockAddress], Direct | Via | Blocked] = {}
        self._own: dict[str, bool] = {}
        self._forget_at = monotonic() + self._FRESH
        self._first_hops = first_hops_of(settings)
        self._other_first_hops = first_hops
        chains = [settings.chain(rule.via) for rule in (settings.default, *settings.rules)]
        # True if any proxy resolves names.
        self._is_remote = any(chain and self._remote_names(chain) for chain in chains)
        # True if any connection is not direct.
        self.routes = any(rule.via != "direct" for rule in _until_all_direct((*settings.rules, settings.default)))

    def decide(self, family: int, address: object) -> Direct | Via | Blocked:
        """Return the route of a stream socket of `family` to `address`, which is an address of the `socket` module.

        A malformed address is Direct: the stdlib then refuses it. Raises gaierror for a name that has to be resolved
        here and cannot be, and for a name that no host can have.
        """
        if family != AF_INET and family != AF_INET6:
            family = ip_family(family) or family
            if family != AF_INET:
                return Direct()
        if not isinstance(address, tuple):
            return Direct()
        if monotonic() > self._forget_at:
            self.forget()
        try:
            # Keys contain no bytes, because `python -bb` forbids to compare them with str.
            known = self._known.get((family, address)) if isinstance(address[0], str) else None
        except ours(TypeError, IndexError):  # the stdlib will refuse the address
            known = None
        # 80.0 and True equal a port number, but the stdlib refuses 80.0.
        return known if known is not None and type(address[1]) is int else self._decide(family, address)

    def is_faked(self, name: str, port: int | None = None) -> bool:
        """Return True if a look-up of this name is answered with a fake address, because a proxy resolves the name.

        `port` is None if it is unknown. Raises gaierror if the name is for a proxy that takes no names.
        """
        if self.is_first_hop(fold(name), port):
            return False
        via, _ = rules.decide_name(self.settings.rules, name, port, self.settings.default)
        if via == "direct":
            return False
        # A blocked name gets an address, too: connect() then reports the reason.
        return via == "block" or self._takes_names(self.settings.chain(via))

    def why_here(self, name: str, port: int | None) -> str:
        """Return the text of the rule by which a name is resolved on this machine."""
        return rules.decide_name(self.settings.rules, name, port, self.settings.default)[1].text

    def reverse_is_native(self, address: str) -> bool:
        """Return True if a reverse look-up of an address may be sent to a name server.

        It may be sent if a rule of the user makes the address direct, or if its proxy leaves names to this machine. No
        name server knows the machine's own addresses.
        """
        via, rule = rules.decide_name(self.settings.rules, address, None, self.settings.default)
        if via == "direct":
            return rule not in rules.BUILT_IN
        return via != "block" and not self._remote_names(self.settings.chain(via)) and not self.is_own(address)

    def unknown_fake(self, literal: str, port: int = 0) -> str | None:
        """Return the error for a fake address that is unknown here; None for a real address.

        Such a fake address belongs to another process, or its name was dropped.
        """
        # A client may pass a fake address of another scope to a router that has no fake addresses.
        if not (self._is_remote or fake_addresses.TABLE.may_have_names) or not fake_addresses.TABLE.is_fake(literal):
            return None
        if self._is_named(literal, port):
            return None
        return f"{literal} is a fake address that stands for no name in this process (any more)"

    def is_first_hop(self, host: str, port: int | None) -> bool:
        """Return True for the address of a proxy, which is reached directly. `host` is a literal or a folded name."""
        return (host, port) in self._first_hops or (host, port) in self._other_first_hops

    def forget(self) -> None:
        """Drop all cached answers."""
        self._known.clear()
        self._own.clear()
        self._forget_at = monotonic() + self._FRESH

    def is_own(self, ip: str) -> bool:
        """Return True if an address is one of the machine's own."""
        own = self._own.get(ip)
        if own is None:
            if len(self._own) >= self._MEMORY:
                self.forget()
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
        # getaddrinfo(3) unmaps a mapped address for an IPv4 socket, and refuses other addresses of the wrong family.
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
        if self.is_first_hop(literal, port):
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
        """Return the route to a name. `fake` is the fake address that the client gave for it, or None."""
        if self.is_first_hop(fold(name), port):
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
            return self._by_address(family, self._resolve(family, name, port, rule), rule)
        try:
            target = Address.of(name, port)
        except ours(ValueError):  # too long
            raise no_such_name() from None
        peer = fake or fake_addresses.TABLE.address_of(name, family)
        return Via(chain, target, _peer(family, peer, port, address), rule)

    def _by_address(self, family: int, address: SockAddress, rule: Rule) -> Direct | Via | Blocked:
        """Return the route to the address of a name, which a rule leaves to a proxy that gets no names."""
        if fake_addresses.TABLE.is_fake(address[0]):
            # In a sealed process, its supervisor has answered. It looks the name up when it routes the connection.
            return Direct(rule, address)
        return self._decide(family, address)

    def _resolve(self, family: int, name: str, port: int, rule: Rule) -> SockAddress:
        try:
            return resolve(family, name, port)
        except gaierror as error:
            log.unresolved(name, rule.text, error)
            raise

    def _rule(self, name: str | None, literal: str | None, port: int) -> tuple[str, Rule]:
        return rules.decide(self.settings.rules, name, literal, port, self.is_own, self.settings.default)

    def _forwarding(self, host: str, port: int, rule: Rule) -> Blocked | None:
        """Return Blocked for a name server on this machine, because it would forward the query to other servers.

        The server may listen on any address of the machine, so each address counts, under each of its names.
        """
        if port != _DOMAIN or rule.source != "built in" or not self._is_remote or not local_host.asks_itself():
            return None
        allow = f"[{host}]:{port}=direct" if ":" in host else f"{host}:{port}=direct"
        return Blocked(f"names are resolved by the proxy, and this name server would ask others; {allow!r} allows it")

    def _is_named(self, literal: str, port: int) -> bool:
        """Return True if a rule of the user names the network of an address. The address is then not a fake address."""
        number = parse_ip(literal)
        first = next((rule.match for rule in self.settings.rules if rule.match.covers(None, number, port)), None)
        return first is not None and first.network is not None

    def _takes_names(self, chain: tuple[Proxy, ...]) -> bool:
        """Return True if the last proxy gets names. Raises gaierror if its protocol cannot carry them."""
        remote = self._remote_names(chain)
        if remote and chain[-1].scheme == "socks4":
            raise gaierror(
                EAI_FAIL,
                f"proxy {chain[-1].url} takes no names: SOCKS4 has addresses only; use socks4a:// if it knows that"
                " extension, an address instead of the name, or dns=local to resolve names here",
            )
        return remote

    def _remote_names(self, chain: tuple[Proxy, ...]) -> bool:
        """Return True if the last proxy resolves names. `dns` decides; with "auto" the scheme does, as in curl."""
        if self.settings.dns == "auto":
            return chain[-1].remote_names
        return self.settings.dns == "remote"

    def _remember(self, family: int, address: SockAddress, route: Direct | Via | Blocked) -> None:
        if len(self._known) >= self._MEMORY:
            self.forget()
        self._known[family, address] = route


def resolve(family: int, name: str, port: int) -> SockAddress:
    """Resolve a name on this machine. Raises gaierror."""
    answers: list[Any] = _originals.getaddrinfo(_originals.InternalHost(name.encode()), port, family, SOCK_STREAM)
    fake_addresses.TABLE.mark_real(answer[4][0] for answer in answers)
    address: SockAddress = _originals.InternalAddress(answers[0][4])
    return address


def _until_all_direct(ordered: tuple[Rule, ...]) -> Iterator[Rule]:
    """Yield the rules before the first rule that makes everything direct."""
    for rule in ordered:
        if rule.text == "*=direct":
            return
        yield rule


def _blocked(rule: Rule) -> Blocked:
    return Blocked(f"blocked by rule {rule.text!r} ({rule.source})", rule)


def first_hops_of(settings: Settings) -> frozenset[FirstHop]:
    """Return the first hops. They are always direct: a connection to a proxy through itself would never end."""
    firsts = [settings.proxy[:1], *(chain[:1] for chain in settings.proxies.values())]
    return frozenset(
        (numeric(hop.host) or fold(hop.host), hop.port) for first in firsts for hop in first if not hop.path
    )


def _peer(family: int, host: str, port: int, address: SockAddress) -> SockAddress:
    """Return the answer of getpeername(): an address of the socket's own family."""
    if family == AF_INET:
        return (host, port)
    scoped = (*address[2:], 0, 0)[:2]
    return (host if ":" in host else f"::ffff:{host}", port, *scoped)
