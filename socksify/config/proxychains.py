"""proxychains4's configuration for what our patches do not reach, as far as it can say what our settings say.

It knows one chain for everything and, as `localnet`, networks that are direct before all else. So a direct network is
told to it only where no earlier rule could decide otherwise, and what is lost goes through the chain. See its
proxychains.conf(5) and the README of proxychains-ng.
"""

from __future__ import annotations

from ipaddress import ip_address

from socksify.config import rules
from socksify.config.addresses import address
from socksify.config.settings import EVERY_PORT, ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from socksify.config.settings import Proxy, Rule, Settings

_TYPES = {"socks5": "socks5", "socks5h": "socks5", "socks4": "socks4", "socks4a": "socks4", "http": "http"}
_KNOWN = "# address "


def first_hops(settings: Settings) -> list[Proxy]:
    """The proxies to which we connect ourselves."""
    return [chain[0] for chain in (settings.proxy, *settings.proxies.values())]


def with_addresses(settings: Settings, addresses: Mapping[str, str]) -> Settings:
    """The settings with addresses for the first hops' names: under proxychains4 nobody here can ask for them."""

    def chain(hops: tuple[Proxy, ...]) -> tuple[Proxy, ...]:
        return (hops[0].replace(host=addresses.get(hops[0].host, hops[0].host)), *hops[1:])

    proxies = {name: chain(hops) for name, hops in settings.proxies.items()}
    numbers: Settings = settings.replace(proxy=chain(settings.proxy), proxies=proxies)
    return numbers


def configuration(settings: Settings, addresses: Mapping[str, str]) -> str:
    """The file, of settings that are with_addresses(); raises ConfigError for a default chain that it cannot name."""
    lines = ["strict_chain", "quiet_mode", "tcp_read_time_out 30000", "tcp_connect_time_out 30000"]
    lines += [f"{_KNOWN}{name} {number}" for name, number in addresses.items()]
    if _resolves_there(settings):
        lines.append("proxy_dns")
    # Our own way to each proxy, and of a child's of ours: what goes there goes through a proxy already.
    lines += [_localnet(hop.host, hop.port, None) for hop in first_hops(settings) if hop.path is None]
    lines += [_localnet(*network) for rule in _direct(settings) if (network := _network(rule)) is not None]
    lines += ["[ProxyList]", *(_proxy(hop) for hop in settings.proxy)]
    return "\n".join([*dict.fromkeys(lines), ""])


def known_addresses(text: str) -> dict[str, str]:
    """The addresses that a configuration was made with."""
    return dict(line.removeprefix(_KNOWN).split() for line in text.splitlines() if line.startswith(_KNOWN))


def lost(settings: Settings) -> list[str]:
    """The user's rules that a program under proxychains4 does not obey: it goes through the chain instead."""
    kept = _direct(settings)
    return [rule.text for rule in settings.rules if rule not in kept and rule.via != "proxy"]


def _resolves_there(settings: Settings) -> bool:
    return settings.proxy[-1].remote_names if settings.dns == "auto" else settings.dns == "remote"


def _direct(settings: Settings) -> list[Rule]:
    """The direct rules about networks, the built-in ones too, that no earlier rule can contradict."""
    found: list[Rule] = []
    earlier: list[Rule] = []
    for rule in (*settings.rules, *rules.BUILT_IN):
        if rule.via != "direct":
            earlier.append(rule)
        elif _network(rule) is not None and not any(_overlap(rule, other) for other in earlier):
            found.append(rule)
    return found


def _overlap(rule: Rule, other: Rule) -> bool:
    if other.network is None or rule.network is None:
        # A rule about names is about no address.
        return not (other.glob or other.domain)
    if rule.network[0] != other.network[0]:
        return False
    mask = rule.network[1] & other.network[1]
    return rule.network[2] & mask == other.network[2] & mask


def _network(rule: Rule) -> tuple[str, int | None, int] | None:
    """(first address, port, length) of a rule, None for one that localnet cannot express: it takes one port or all."""
    if rule.network is None or (rule.ports[0] != rule.ports[1] and rule.ports != EVERY_PORT):
        return None
    bits, mask, number = rule.network
    first = str(ip_address(number.to_bytes(bits // 8, "big")))
    return first, None if rule.ports == EVERY_PORT else rule.ports[0], mask.bit_count()


def _localnet(host: str, port: int | None, length: int | None) -> str:
    """One network; without a length, one address."""
    if ":" in host:
        place = host if port is None else f"[{host}]:{port}"
        return f"localnet {place}/{128 if length is None else length}"
    bits = 32 if length is None else length
    mask = ip_address(((1 << 32) - (1 << 32 - bits)).to_bytes(4, "big"))
    return f"localnet {host}{'' if port is None else f':{port}'}/{mask}"


def _proxy(hop: Proxy) -> str:
    if hop.path is not None:
        raise ConfigError(f"native: {hop.url!r}: proxychains4 knows no Unix sockets; expected a proxy on a port")
    credentials = [part.decode("latin-1") for part in (hop.user, hop.password) if part is not None]
    if any(not part or not part.isprintable() or not part.isascii() or " " in part for part in credentials):
        raise ConfigError(f"native: {hop.url!r}: proxychains4 takes no blanks and ASCII alone in credentials")
    return " ".join([_TYPES[hop.scheme], hop.host, str(hop.port), *credentials])


def is_literal(host: str) -> bool:
    """Whether a proxy's host needs no look-up."""
    return address(host) is not None
