"""Which way a connection takes: (settings, socket family, address) -> Direct | Via | Denied.

A pure decision but for two questions to the kernel, both remembered: whether an address is one of the
machine's own, and, where names are resolved here, what a name's address is.
"""

from __future__ import annotations

from functools import cached_property
from socket import AF_INET, AF_INET6, AI_NUMERICHOST, SOCK_STREAM, gaierror, inet_aton, inet_ntop, inet_pton
from time import monotonic

from socksify import _real
from socksify._record import Record
from socksify.config import rules
from socksify.protocol.address import Address
from socksify.protocol.socks5 import CONNECT
from socksify.tunnel import names
from socksify.tunnel.legs import legs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from socksify.config.settings import Proxy, Rule, Settings
    from socksify.tunnel.legs import Leg

    SockAddress = tuple[Any, ...]
    Route = "Direct | Via | Denied"


class Direct(Record):
    """Connect natively; rule is None for what no rule speaks of (AF_UNIX, what is not an address at all)."""

    rule: Rule | None = None


class Via(Record):
    """Connect through a chain of proxies, first hop first, to a target; tell the client it reached `peer`.

    Where `command` is BIND, the last proxy is to listen for the target instead.
    """

    chain: tuple[Proxy, ...]
    target: Address
    peer: SockAddress
    rule: Rule
    command: int = CONNECT

    @cached_property
    def legs(self) -> tuple[Leg, ...]:
        """What is to be said to each proxy; raises as `legs.legs` does."""
        return legs(self.chain, self.target, self.command)


class Denied(Record):
    """Do not connect at all."""

    why: str
    rule: Rule | None = None


class Router:
    """Routes connections by one Settings; remembers its answers, since a client asks the same again and again."""

    # Answers kept, and for how many seconds: the machine may be given other addresses of its own.
    _MEMORY = 4096
    _FRESH = 10.0

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._known: dict[tuple[int, SockAddress], Direct | Via | Denied] = {}
        self._own: dict[str, bool] = {}
        self._forget_at = monotonic() + self._FRESH
        self._gateways = _gateways(settings)

    def decide(self, family: int, address: object) -> Direct | Via | Denied:
        """The route of a stream socket of `family` that is to connect to `address`, a sockaddr as Python writes it.

        What the stdlib refuses as malformed is Direct, so that the stdlib refuses it. Raises gaierror for a name that
        has to be resolved here and cannot be, and for one that cannot be anybody's.
        """
        if (family != AF_INET and family != AF_INET6) or not isinstance(address, tuple):
            return Direct()
        if monotonic() > self._forget_at:
            self._forget()
        try:
            known = self._known.get((family, address))
        except TypeError:  # a bytearray host cannot be a key
            known = None
        # 80.0 and True equal a port, the one is none to the stdlib.
        return known if known is not None and type(address[1]) is int else self._decide(family, address)

    def _decide(self, family: int, address: SockAddress) -> Direct | Via | Denied:
        parsed = _host_and_port(family, address)
        if parsed is None:
            return Direct()
        host, port = parsed
        literal = numeric(host)
        if literal is not None and host and (":" in host) != (family == AF_INET6):
            return Direct()
        name = None if literal else host
        if name is not None and ":" in name:
            raise no_such_name()
        if literal is not None and names.is_made_up(literal):
            name = names.TABLE.name_of(literal)
            if name is None:
                return Denied(f"{literal} is a made-up address that stands for no name in this process")
            literal = None
        route = self._by_rules(family, name, literal, port, address)
        if name is None and type(address[0]) is not bytearray:
            self._remember(family, address, route)
        return route

    def _by_rules(
        self, family: int, name: str | None, literal: str | None, port: int, address: SockAddress
    ) -> Direct | Via | Denied:
        if (name or literal, port) in self._gateways:
            return Direct(rules.GATEWAY)
        via, rule = rules.decide(self.settings.rules, name, literal, port, self.is_own)
        if via == "direct":
            return Direct(rule)
        if via == "block":
            return Denied(f"blocked by rule {rule.text!r} ({rule.source})", rule)
        chain = self.settings.chain(via)
        if name is not None and not self._remote_names(chain):
            return self._decide(family, resolve(family, name, port))
        try:
            target = Address.of(name or literal or "", port)
        except ValueError:  # too long
            raise no_such_name() from None
        return Via(chain, target, self._peer(family, name, literal, port, address), rule)

    def _remote_names(self, chain: tuple[Proxy, ...]) -> bool:
        """DESIGN: the scheme of the proxy that gets the name decides, as in curl, unless `dns` does."""
        if self.settings.dns == "auto":
            return chain[-1].remote_names
        return self.settings.dns == "remote"

    def _peer(self, family: int, name: str | None, literal: str | None, port: int, address: SockAddress) -> SockAddress:
        """What getpeername() is to say: an address of the socket's own family."""
        host = literal if literal is not None else names.TABLE.address_of(name or "")
        if family == AF_INET:
            return (host, port)
        scoped = (*address[2:], 0, 0)[:2]
        return (host if ":" in host else f"::ffff:{host}", port, *scoped)

    def is_own(self, ip: str) -> bool:
        """Whether an address is one of this machine's: only to such a one can a socket be bound."""
        own = self._own.get(ip)
        if own is None:
            if len(self._own) >= self._MEMORY:
                self._forget()
            own = self._own[ip] = _is_bindable(ip)
        return own

    def _forget(self) -> None:
        self._known.clear()
        self._own.clear()
        self._forget_at = monotonic() + self._FRESH

    def _remember(self, family: int, address: SockAddress, route: Direct | Via | Denied) -> None:
        if len(self._known) >= self._MEMORY:
            self._forget()
        self._known[family, address] = route


def _gateways(settings: Settings) -> frozenset[tuple[str, int]]:
    """The first hops, which are always reached directly: a rule that sent them through themselves would never end."""
    firsts = [settings.proxy[:1], *(chain[:1] for chain in settings.proxies.values())]
    return frozenset(
        (numeric(hop.host) or hop.host.lower(), hop.port) for first in firsts for hop in first if not hop.path
    )


def _host_and_port(family: int, address: SockAddress) -> tuple[str, int] | None:
    """Host and port as getsockaddrarg() of CPython's socketmodule.c accepts them; None for what it refuses."""
    if len(address) != 2 and not (family == AF_INET6 and 2 < len(address) <= 4):
        return None
    host, port = address[:2]
    if isinstance(host, (bytes, bytearray)):
        host = host.decode("ascii", "surrogateescape")
    elif isinstance(host, str) and not host.isascii():
        host = _idna(host)
    if not isinstance(host, str) or not all(hasattr(number, "__index__") for number in address[1:]):
        return None
    if len(address) > 2 and not 0 <= address[2].__index__() <= 0xFFFFF:
        return None
    port = port.__index__()
    if not 0 <= port <= 0xFFFF or "\0" in host:
        return None
    return host, port


def _idna(host: str) -> str | None:
    """A name as it is looked up: other letters may spell a number, too."""
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return None


def no_such_name() -> gaierror:
    """What a look-up says of a name that nobody can have, without looking up anything."""
    try:
        _real.getaddrinfo("?", 0, flags=AI_NUMERICHOST)
    except gaierror as error:
        return error.with_traceback(None)
    raise AssertionError("a question mark is no number")


def numeric(host: str) -> str | None:
    """A numeric host in its usual form, as inet_pton(3) and inet_aton(3) read it; None for a name.

    Mapped addresses are unmapped and scope ids left out: neither means anything to a proxy.
    """
    if host == "" or host == "<broadcast>":
        return "0.0.0.0" if host == "" else "255.255.255.255"
    try:
        if ":" in host:
            packed = inet_pton(AF_INET6, host.partition("%")[0])
            if packed[:12] == b"\0" * 10 + b"\xff\xff":
                return inet_ntop(AF_INET, packed[12:])
            return inet_ntop(AF_INET6, packed)
        # inet_aton() stops at white space and ignores what follows; getaddrinfo() does not.
        if host[-1] in "0123456789abcdefABCDEF" and host[0].isdigit() and not any(c.isspace() for c in host):
            return inet_ntop(AF_INET, inet_aton(host))
    except (OSError, ValueError):
        pass
    return None


def resolve(family: int, name: str, port: int) -> SockAddress:
    """Resolve a name here, natively; raises gaierror."""
    answers = _real.getaddrinfo(name, port, family, SOCK_STREAM)
    address: SockAddress = answers[0][4]
    return address


def _is_bindable(ip: str) -> bool:
    family = AF_INET6 if ":" in ip else AF_INET
    try:
        probe = _real.Socket(family, SOCK_STREAM)
    except OSError:
        return False
    try:
        _real.bind(probe, (ip, 0))
    except OSError:
        return False
    finally:
        _real.close(probe)
    return True
