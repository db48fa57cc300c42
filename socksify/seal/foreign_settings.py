"""Settings that a process of the tree has sent. The process may send anything, so every field is checked.

Only what is well-formed is used afterwards: each field has the type that its class declares, each VIA is known, and
each proxy has a scheme and a port.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from socksify._record import Record
from socksify.config import inherited
from socksify.config.match import Match
from socksify.config.proxy_url import SCHEMES, Proxy
from socksify.config.rules import Rule
from socksify.config.settings import Settings
from socksify.seal import plain_data

_NAMES: dict[str, Any] = {"Mapping": Mapping, "Proxy": Proxy, "Rule": Rule, "Match": Match}
_DECLARED: dict[type, dict[str, Any]] = {
    cls: get_type_hints(cls, localns=_NAMES) for cls in (Settings, Proxy, Rule, Match)
}
# The types of the fields of each class.
_HINTS = {cls: tuple(hints[name] for name in cls.__annotations__) for cls, hints in _DECLARED.items()}


def read(data: bytes) -> Settings:
    """Return the settings in `data`, which `config.inherited.encoded` has written. Raises ValueError."""
    try:
        settings = inherited.decoded(plain_data.read(data))
    except (TypeError, IndexError) as error:
        raise ValueError(str(error)) from None
    if not _fits(settings, Settings) or not all(map(_is_reachable, _proxies(settings))):
        raise ValueError("not the settings of any process")
    try:
        for rule in (settings.default, *settings.rules):
            settings.chain(rule.via)
    except KeyError as error:
        raise ValueError(f"no proxy {error}") from None
    return settings


def _fits(value: object, hint: Any) -> bool:
    """Return True if a value has a declared type, with all its items and fields."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (UnionType, Union):
        return any(_fits(value, each) for each in arguments)
    if origin is Mapping:
        return isinstance(value, dict) and all(map(_fits, value.values(), [arguments[1]] * len(value)))
    if origin is tuple:
        return isinstance(value, tuple) and _fit(value, arguments)
    if hint is float:
        return type(value) in (int, float)
    return type(value) is hint and (not isinstance(value, Record) or _fit(value._values(), _HINTS[hint]))


def _fit(values: tuple[object, ...], hints: tuple[Any, ...]) -> bool:
    if hints[-1:] == (Ellipsis,):
        hints = hints[:1] * len(values)
    return len(values) == len(hints) and all(map(_fits, values, hints))


def _proxies(settings: Settings) -> list[Proxy]:
    return [proxy for chain in (settings.proxy, *settings.proxies.values()) for proxy in chain]


def _is_reachable(proxy: Proxy) -> bool:
    return proxy.scheme in SCHEMES and 0 <= proxy.port <= 65535
