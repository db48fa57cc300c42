"""The settings of a block of `socksify.via()`: those in force, with another answer to which way things go.

What a rule of the user's blocks stays blocked: "never" is said of a destination, whatever leads there. All other
rules say which way, and so does the block, which is nearer. Loopback, `localhost` and the machine's own addresses stay
direct at the built-in end, unless a rule leaves them to a proxy.
"""

from __future__ import annotations

from socksify.config import proxy_url, rules
from socksify.config.errors import ConfigError
from socksify.config.rules import DEFAULT, UNDECIDED, Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from socksify.config.settings import Settings

_SOURCE = "via()"
# What its rules name as their source.
_SCOPE = "scope"


def scoped(settings: Settings, vias: tuple[str, ...], isolate: str | None) -> Settings:
    """The settings inside `via(*vias, isolate=isolate)`; of several VIAs each leads to the next.

    Raises ConfigError for what no rule's VIA could be, and for credentials that cannot be isolated.
    """
    proxies = dict(settings.proxies)
    via = _via(settings, vias, proxies)
    inside = _outranking(settings.replace(proxies=proxies), Rule(f"via({via!r})", _SCOPE, via))
    if isolate is not None:
        inside = inside.replace(isolate=isolate)
    _check(inside, via, isolate)
    return inside


def passed_on(settings: Settings) -> Settings:
    """The settings that a process gets which is started inside: its default proxies are the block's.

    So what it is told of its own accord outranks them, as anything inherited.
    """
    via = settings.default.via
    if settings.default.source != _SCOPE or via == "direct":
        return settings
    if via == "block":
        # proxychains4 has no chain for that.
        blocked: Settings = settings.replace(native=False)
        return blocked

    def renamed(rule: Rule) -> Rule:
        return rule.replace(via="proxy") if (rule.source, rule.via) == (_SCOPE, via) else rule

    passed: Settings = settings.replace(
        proxy=settings.chain(via), rules=tuple(map(renamed, settings.rules)), default=renamed(settings.default)
    )
    return passed


def left(settings: Settings) -> Settings:
    """What was passed on, for a process that is told proxies of its own: they, too, outrank the block's way."""

    def told(rule: Rule) -> Rule:
        if rule.source != _SCOPE or rule.via == UNDECIDED:
            return rule
        as_default: Rule = rule.replace(text=DEFAULT.text, source=DEFAULT.source, via=DEFAULT.via)
        return as_default

    outside: Settings = settings.replace(rules=tuple(map(told, settings.rules)), default=told(settings.default))
    return outside


def refused(settings: Settings, why: ConfigError) -> Settings:
    """The settings inside a via() that has lost its meaning with other settings: nothing goes out."""
    return _outranking(settings, Rule(str(why), _SCOPE, "block"))


def _outranking(settings: Settings, rule: Rule) -> Settings:
    """The settings with one rule in the place of all that do not block."""
    changes: dict[str, Any] = {"rules": tuple(_outranked(each, rule) for each in settings.rules), "default": rule}
    if rule.via in ("direct", "block"):
        # No proxy listens for what is opened here.
        changes |= {"bind": "never", "isolate": "none"}
    if rule.via == "block":
        # Not even the proxies' own addresses are let through.
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
