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
from socksify.seal.patched import plain_data

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    # Returns True if a value has a certain type, with all its items and fields.
    Check = Callable[[Any], bool]

_NAMES: dict[str, Any] = {"Mapping": Mapping, "Proxy": Proxy, "Rule": Rule, "Match": Match}


def read(data: bytes) -> Settings:
    """Return the settings in `data`, which `config.inherited.encoded` has written. Raises ValueError."""
    try:
        settings = inherited.decoded(plain_data.read(data))
    except (TypeError, IndexError) as error:
        raise ValueError(str(error)) from None
    if not _ARE_SETTINGS(settings) or not all(map(_is_reachable, _proxies(settings))):
        raise ValueError("not the settings of any process")
    try:
        for rule in (settings.default, *settings.rules):
            settings.chain(rule.via)
    except KeyError as error:
        raise ValueError(f"no proxy {error}") from None
    return settings


def _check_of(hint: Any) -> Check:
    """Return the check of a declared type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (UnionType, Union):
        alternatives = [_check_of(each) for each in arguments]
        return lambda value: any(check(value) for check in alternatives)
    if origin is Mapping:
        item = _check_of(arguments[1])
        return lambda value: type(value) is dict and all(map(item, value.values()))
    if origin is tuple:
        items = _check_of_items(arguments)
        return lambda value: type(value) is tuple and items(value)
    if hint is float:
        return lambda value: type(value) in (int, float)
    if issubclass(hint, Record):
        return _check_of_record(hint)
    return lambda value: type(value) is hint


def _check_of_items(hints: tuple[Any, ...]) -> Check:
    if hints[-1:] == (Ellipsis,):
        each = _check_of(hints[0])
        return lambda values: all(map(each, values))
    checks = [_check_of(hint) for hint in hints]
    return lambda values: (
        len(values) == len(checks) and all(check(value) for check, value in zip(checks, values, strict=True))
    )


def _check_of_record(cls: type[Record]) -> Check:
    hints = get_type_hints(cls, localns=_NAMES)
    fields = _check_of_items(tuple(hints[name] for name in cls._fields))
    return lambda value: type(value) is cls and fields(value._values())


_ARE_SETTINGS = _check_of(Settings)


def _proxies(settings: Settings) -> list[Proxy]:
    return [proxy for chain in (settings.proxy, *settings.proxies.values()) for proxy in chain]


def _is_reachable(proxy: Proxy) -> bool:
    return proxy.scheme in SCHEMES and 0 <= proxy.port <= 65535
