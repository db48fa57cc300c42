"""All settings in force, as one frozen value.

Every setting is checked and brought into its final form when it is loaded. A decision in connect() is therefore a few
comparisons, and mistakes are reported before the first statement of the program runs.

A block of `socksify.via()` has settings with another route for connections. A destination that a user's rule blocks
stays blocked, because such a rule forbids the destination on every route. All other rules only choose a route, and the
block takes precedence over them. Loopback, `localhost` and the machine's own addresses stay direct by the built-in
rules, unless a rule sends them to a proxy.
"""

from __future__ import annotations

from socksify._record import Record
from socksify.config import proxy_url, rules
from socksify.config.errors import ConfigError
from socksify.config.rules import DEFAULT, UNDECIDED, Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from socksify.config.proxy_url import Proxy

# The source of an error about a block, and of the rules that a block has changed.
_SOURCE = "via()"
_SCOPE = "scope"


class Settings(Record):
    """All settings in force.

    `proxy` is the default chain of proxies, first hop first. `proxies` are the named chains, and under its masked
    spelling every chain that a rule gives as a URL. `rules` are the user's rules, those of the strongest source first;
    `default` is the very last rule (`rules.BUILT_IN` stands between them). `isolate` is `none`, `host`, `task` or
    `connection`. `dns` is `auto`, `local` or `remote`. `dns_server` is `host:port` or empty. `fake_networks` are the
    networks of fake addresses, the IPv4 one first. `udp` is `block` or `direct`. `bind` is `auto`, `always` or `never`,
    and `bind_services` are ports. `allow` are names of modules and programs. `children` is True if child processes get
    these settings. `seal` is `auto`, `on` or `off`. Both timeouts are in seconds. `log` is empty (off), `stderr` or the
    path of a file. `sources` maps the name of each setting to the source of its value.
    """

    proxy: tuple[Proxy, ...]
    proxies: Mapping[str, tuple[Proxy, ...]] = {}
    rules: tuple[Rule, ...] = ()
    default: Rule = DEFAULT
    isolate: str = "none"
    dns: str = "auto"
    dns_server: str = ""
    fake_networks: tuple[str, str] = ("198.18.0.0/15", "100::/64")
    udp: str = "block"
    bind: str = "auto"
    bind_services: tuple[int, ...] = (21, 514)
    strict: bool = False
    allow: tuple[str, ...] = ()
    children: bool = True
    seal: str = "auto"
    connect_timeout: float = 120.0
    c_watcher_timeout: float = 5.0
    log: str = ""
    sources: Mapping[str, str] = {}

    def chain(self, via: str) -> tuple[Proxy, ...]:
        """Return the proxies that the VIA of a rule names, first hop first; none for direct, block and UNDECIDED.

        Raises KeyError for a name that is not configured. load() has checked the names in `rules`.
        """
        if via == "proxy":
            return self.proxy
        if via in ("direct", "block", UNDECIDED):
            return ()
        if via in self.proxies:
            return self.proxies[via]
        if "+" not in via:
            raise KeyError(via)
        return tuple(hop for name in via.split("+") for hop in self.chain(name))


def scoped(settings: Settings, vias: tuple[str, ...], isolate: str | None) -> Settings:
    """Return the settings inside of `via(*vias, isolate=isolate)`. Several VIAs form a chain.

    Raises ConfigError for a text that is no VIA, and for credentials that cannot be isolated.
    """
    proxies = dict(settings.proxies)
    via = _via(settings, vias, proxies)
    inside = _outranking(settings.replace(proxies=proxies), Rule(f"via({via!r})", _SCOPE, via))
    if isolate is not None:
        inside = inside.replace(isolate=isolate)
    _check(inside, via, isolate)
    return inside


def passed_on(settings: Settings) -> Settings:
    """Return the settings for a process that is started in the block.

    The block's proxies become the default proxies of that process. Therefore the process's own settings outrank them,
    as they outrank all inherited settings.
    """
    via = settings.default.via
    if settings.default.source != _SCOPE or via in ("direct", "block"):
        return settings

    def renamed(rule: Rule) -> Rule:
        return rule.replace(via="proxy") if (rule.source, rule.via) == (_SCOPE, via) else rule

    passed: Settings = settings.replace(
        proxy=settings.chain(via), rules=tuple(map(renamed, settings.rules)), default=renamed(settings.default)
    )
    return passed


def without_block(settings: Settings) -> Settings:
    """Return inherited settings without the block's route, for a process that has its own proxies."""

    def restored(rule: Rule) -> Rule:
        if rule.source != _SCOPE or rule.via == UNDECIDED:
            return rule
        as_default: Rule = rule.replace(text=DEFAULT.text, source=DEFAULT.source, via=DEFAULT.via)
        return as_default

    outside: Settings = settings.replace(rules=tuple(map(restored, settings.rules)), default=restored(settings.default))
    return outside


def refused(settings: Settings, why: ConfigError) -> Settings:
    """Return the settings for a block whose VIA has no meaning in new settings: everything is blocked."""
    return _outranking(settings, Rule(str(why), _SCOPE, "block"))


def _outranking(settings: Settings, rule: Rule) -> Settings:
    """Return the settings with one rule in place of all rules that do not block."""
    changes: dict[str, Any] = {"rules": tuple(_outranked(each, rule) for each in settings.rules), "default": rule}
    if rule.via in ("direct", "block"):
        # No proxy is involved, so none can listen.
        changes |= {"bind": "never", "isolate": "none"}
    if rule.via == "block":
        # Not even the addresses of the proxies are direct.
        changes |= {"proxy": (), "proxies": {}}
    outranking: Settings = settings.replace(**changes)
    return outranking


def _via(settings: Settings, vias: tuple[str, ...], proxies: rules.Proxies) -> str:
    names = [rules.parse_via(text, _SOURCE, proxies) for text in vias]
    if len(names) == 1:
        return names[0]
    for name in names:
        if name in ("direct", "block"):
            raise ConfigError(f"{_SOURCE}: {name!r}: cannot be part of a chain")
    with_names: Settings = settings.replace(proxies=proxies)
    return rules.enter(tuple(hop for name in names for hop in with_names.chain(name)), proxies)


def _outranked(rule: Rule, inside: Rule) -> Rule:
    if rule.via == "block":
        return rule
    via = UNDECIDED if rule.via == "direct" else inside.via
    outranked: Rule = rule.replace(text=inside.text, source=inside.source, via=via)
    return outranked


def _check(inside: Settings, via: str, isolate: str | None) -> None:
    chain = inside.chain(via)
    proxy_url.check_reachable(chain, _SOURCE)
    if chain:
        proxy_url.check_isolated(chain, inside.isolate, _SOURCE)
    elif isolate not in (None, "none"):
        raise ConfigError(f"{_SOURCE}: isolate={isolate!r}: no proxy could isolate what is {via}")
