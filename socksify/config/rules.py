"""Rules: MATCH=VIA. The first match wins, and every list of rules ends with the same built-in rules.

The rule for the machine's own addresses comes last. System calls are needed to list these addresses, so a callback does
that, and only if no other rule has decided.
"""

from __future__ import annotations

from socksify._record import Record
from socksify.config import match as config_match
from socksify.config import proxy_url
from socksify.config.errors import ConfigError, masked
from socksify.config.ip import fold, parse_ip, unmapped
from socksify.config.match import EVERY_PORT, EVERYTHING, Match

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from socksify.config.proxy_url import Proxy

    Proxies = dict[str, tuple[Proxy, ...]]

RESERVED = ("direct", "block", "proxy")
# The VIA of a rule that outranks the rules after it, and leaves the decision to the built-in rules.
UNDECIDED = "undecided"


class Rule(Record):
    """MATCH=VIA.

    `text` is the rule as it was written (passwords masked). `source` is where it was written: `--route`, `NO_PROXY`,
    `built in`. `via` is `direct`, `block`, or a name that `Settings.chain` knows.
    """

    text: str
    source: str
    via: str
    match: Match = EVERYTHING


# RFC 6761 section 6.3: all names below "localhost." are loopback. A connect(2) to the unspecified address, which is
# also the meaning of '', reaches loopback. The addresses are written as numbers, which saves the time of parsing.
BUILT_IN = (
    Rule("localhost=direct", "built in", "direct", Match(domain="localhost")),
    Rule("127.0.0.0/8=direct", "built in", "direct", Match(network=(32, 0xFF000000, 0x7F000000))),
    Rule("::1=direct", "built in", "direct", Match(network=(128, (1 << 128) - 1, 1))),
    Rule("0.0.0.0=direct", "built in", "direct", Match(network=(32, 0xFFFFFFFF, 0))),
    Rule("::=direct", "built in", "direct", Match(network=(128, (1 << 128) - 1, 0))),
    Rule("''=direct", "built in", "direct", Match(glob=("",))),
)
OWN = Rule("the machine's own addresses=direct", "built in", "direct")
# The very last rule.
DEFAULT = Rule("*=proxy", "built in", "proxy")
EVERYTHING_DIRECT = Rule("*=direct", "uninstalled", "direct")
# This rule has no place in the order: the caller applies it before all others.
PROXY_ITSELF = Rule("the proxy itself=direct", "built in", "direct")


def never(_: str) -> bool:
    """Return False: no address is one of the machine's own."""
    return False


def decide(
    rules: Iterable[Rule],
    name: str | None,
    ip: str | None,
    port: int,
    is_own: Callable[[str], bool] = never,
    default: Rule = DEFAULT,
) -> tuple[str, Rule]:
    """Return (VIA, the rule that decides) for a target.

    `name` and `ip` are the name and the address of the target; one of them may be None if it is unknown. A `name` that
    is a literal counts as the address. `port` is 0 to 65535. `is_own` is called at most once, with the text of the
    address, and returns True if this machine has the address. `default` decides if no other rule matches.
    """
    text = name if ip is None and name else ip
    number = parse_ip(text) if text else None
    folded = fold(name) if name is not None else None
    for rule in rules:
        if rule.match.covers(folded, number, port):
            if rule.via == UNDECIDED:
                break
            return rule.via, rule
    for rule in BUILT_IN:
        if rule.match.covers(folded, number, port):
            return rule.via, rule
    if number is not None and text and is_own(unmapped(text)):
        return OWN.via, OWN
    return default.via, default


def decide_name(rules: Iterable[Rule], host: str, port: int | None, default: Rule = DEFAULT) -> tuple[str, Rule]:
    """Return (VIA, the rule that decides) for the look-up of a name, or the reverse look-up of an address.

    `port` is None if the caller of the look-up has not given it. Then a rule about some ports counts for every port,
    unless its VIA is direct. The reason: a fake address does no harm if the connection is direct in the end, but a
    question to a name server does harm if the connection goes through a proxy.
    """
    if port is not None:
        return decide(rules, host, None, port, never, default)
    number, folded = parse_ip(host), fold(host)
    for rule in rules:
        limited = rule.match.ports != EVERY_PORT and rule.via in ("direct", UNDECIDED)
        if not limited and rule.match.covers(folded, number, rule.match.ports[0]):
            if rule.via == UNDECIDED:
                break
            return rule.via, rule
    for rule in BUILT_IN:
        if rule.match.covers(folded, number, 0):
            return rule.via, rule
    return default.via, default


def parse(text: str, source: str, proxies: Proxies | None = None) -> Rule:
    """Return the rule of a text `MATCH=VIA`. `proxies` are the named proxies, which VIA may use.

    A VIA that is a URL is entered into `proxies` under its masked spelling, so no rule holds a password. Raises
    ConfigError, which names `source`, if the text is no rule.
    """
    match, equals, via = text.partition("=")
    match, via = match.strip(), via.strip()
    if not equals or not via or "://" in match:
        raise ConfigError(f"{source}: {masked(text)!r}: expected MATCH=VIA, such as *.corp.example=direct")
    covered = config_match.parse(match, source)
    via = parse_via(via, source, {} if proxies is None else proxies)
    return Rule(f"{match}={via}", source, via, covered)


def parse_direct(match: str, source: str) -> Rule:
    """Return the rule `MATCH=direct` for a MATCH alone. Raises ConfigError, which names `source`."""
    match = match.strip()
    if "=" in match:
        raise ConfigError(f"{source}: {masked(match)!r}: expected a MATCH alone, such as *.corp.example")
    return Rule(f"{match}=direct", source, "direct", config_match.parse(match, source))


def parse_via(text: str, source: str, proxies: Proxies) -> str:
    """Return the VIA as `Settings.chain` knows it: the text itself, or the name under which a URL is entered.

    A URL is entered into `proxies`. Raises ConfigError, which names `source`.
    """
    return enter(proxy_url.parse_chain(text, source), proxies) if "://" in text else _known(text, source, proxies)


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


def enter(chain: tuple[Proxy, ...], proxies: Proxies) -> str:
    """Enter a chain into `proxies` under its masked spelling, and return that name."""
    spelling = name = ",".join(hop.url for hop in chain)
    count = 1
    # Two chains that differ only in their passwords have the same masked spelling.
    while proxies.get(name, chain) != chain:
        count += 1
        name = f"{spelling}#{count}"
    proxies[name] = chain
    return name
