"""Rules: MATCH=VIA, first match wins; and the built-in end, which every list of rules has.

The machine's own addresses come last of all, through a question to the caller: the answer costs system calls,
and a rule of the user's that speaks of the address outranks it anyway.
"""

from __future__ import annotations

from socksify.config import match as config_match
from socksify.config import proxy_url
from socksify.config.ip import address, fold, unmapped
from socksify.config.quoting import masked
from socksify.config.settings import DEFAULT, EVERY_PORT, UNDECIDED, ConfigError, Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from ipaddress import IPv4Address, IPv6Address

    from socksify.config.settings import Proxy

    Proxies = dict[str, tuple[Proxy, ...]]

RESERVED = ("direct", "block", "proxy")

# RFC 6761 section 6.3: all names below "localhost." are loopback. connect(2) to the unspecified address, which is
# also what '' means, reaches loopback. The numbers are those of ::1 and ::, written out to save the parsing.
BUILT_IN = (
    Rule("localhost=direct", "built in", "direct", domain="localhost"),
    Rule("127.0.0.0/8=direct", "built in", "direct", network=(32, 0xFF000000, 0x7F000000)),
    Rule("::1=direct", "built in", "direct", network=(128, (1 << 128) - 1, 1)),
    Rule("0.0.0.0=direct", "built in", "direct", network=(32, 0xFFFFFFFF, 0)),
    Rule("::=direct", "built in", "direct", network=(128, (1 << 128) - 1, 0)),
    Rule("''=direct", "built in", "direct", glob=("",)),
)
OWN = Rule("the machine's own addresses=direct", "built in", "direct")
EVERYTHING_DIRECT = Rule("*=direct", "uninstalled", "direct")
# Not part of the order: the caller applies it before any other.
PROXY_ITSELF = Rule("the proxy itself=direct", "built in", "direct")


def never(_: str) -> bool:
    """No address is the machine's own."""
    return False


def decide(
    rules: Iterable[Rule],
    name: str | None,
    ip: str | IPv4Address | IPv6Address | None,
    port: int,
    is_own: Callable[[str], bool] = never,
    default: Rule = DEFAULT,
) -> tuple[str, Rule]:
    """(VIA, the rule that says so) for a target of which the name or the address or both are known.

    A name that is a literal counts as the address. `is_own` is asked at most once, with the address's text. `default`
    is the rule for what no other speaks of.
    """
    text = name if ip is None and name else str(ip) if ip is not None else None
    number = address(text) if text else None
    folded = fold(name) if name is not None else None
    for rule in rules:
        if rule.covers(folded, number, port):
            if rule.via == UNDECIDED:
                break
            return rule.via, rule
    for rule in BUILT_IN:
        if rule.covers(folded, number, port):
            return rule.via, rule
    if number is not None and text and is_own(unmapped(text)):
        return OWN.via, OWN
    return default.via, default


def decide_name(rules: Iterable[Rule], host: str, port: int | None, default: Rule = DEFAULT) -> tuple[str, Rule]:
    """(VIA, rule) for a look-up, of a name or backwards of an address: the port is not always known yet.

    A rule that speaks of some ports then counts unless it says direct: a fake address does no harm where a
    connection turns out to be direct, an early question to a name server does.
    """
    if port is not None:
        return decide(rules, host, None, port, never, default)
    number, folded = address(host), fold(host)
    for rule in rules:
        limited = rule.ports != EVERY_PORT
        if rule.covers(folded, number, rule.ports[0]) and not (limited and rule.via in ("direct", UNDECIDED)):
            if rule.via == UNDECIDED:
                break
            return rule.via, rule
    for rule in BUILT_IN:
        if rule.covers(folded, number, 0):
            return rule.via, rule
    return default.via, default


def parse(text: str, source: str, proxies: Proxies | None = None) -> Rule:
    """The rule that `MATCH=VIA` stands for. `proxies` are those that VIA may name.

    A VIA that is a URL becomes its masked spelling, and so no rule holds a password. Raises ConfigError.
    """
    match, equals, via = text.partition("=")
    match, via = match.strip(), via.strip()
    if not equals or not via or "://" in match:
        raise ConfigError(f"{source}: {masked(text)!r}: expected MATCH=VIA, such as *.corp.example=direct")
    fields = config_match.parse(match, source)
    via = read_via(via, source, {} if proxies is None else proxies)
    return Rule(f"{match}={via}", source, via, **fields)


def read_via(text: str, source: str, proxies: Proxies) -> str:
    """What a VIA means to `Settings.chain`: itself, or the name under which its URL is entered into `proxies`.

    Raises ConfigError.
    """
    return entered(proxy_url.chain(text, source), proxies) if "://" in text else _known(text, source, proxies)


def direct(match: str, source: str) -> Rule:
    """The rule that `MATCH=direct` stands for, from the match alone."""
    match = match.strip()
    if "=" in match:
        raise ConfigError(f"{source}: {masked(match)!r}: expected a MATCH alone, such as *.corp.example")
    return Rule(f"{match}=direct", source, "direct", **config_match.parse(match, source))


def _known(via: str, source: str, proxies: Proxies) -> str:
    if via in ("direct", "block"):
        return via
    for name in via.split("+"):
        if name != "proxy" and name not in proxies:
            known = ", ".join([*RESERVED, *proxies])
            raise ConfigError(f"{source}: {masked(via)!r}: {_unknown(name)}; expected {known}, a+b, or a URL")
    return via


def _unknown(name: str) -> str:
    if name in ("direct", "block"):
        return f"{name} cannot be part of a chain"
    return "no proxy of that name"


def entered(chain: tuple[Proxy, ...], proxies: Proxies) -> str:
    """The name, its masked spelling, under which a chain stands in `proxies` from now on."""
    spelling = name = ",".join(hop.url for hop in chain)
    count = 1
    # Two passwords have one masked spelling.
    while proxies.get(name, chain) != chain:
        count += 1
        name = f"{spelling}#{count}"
    proxies[name] = chain
    return name
