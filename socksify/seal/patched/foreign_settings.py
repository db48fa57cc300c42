"""Settings that a process of the tree has sent. The process may send anything, so every field is checked.

Only what is well-formed is used afterwards: each field has the type that its class declares, each VIA is known, and
each proxy has a scheme and a port. marshal.loads() may crash for bytes that marshal has not written, so the bytes are
read here.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from socksify._record import Record
from socksify.config import inherited
from socksify.config.match import Match
from socksify.config.proxy_url import SCHEMES, Proxy
from socksify.config.rules import Rule
from socksify.config.settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    # Returns True if a value has a certain type, with all its items and fields.
    Check = Callable[[Any], bool]
    # Takes the data, the place behind the byte for the type, and the depth. Returns the value and the place behind it.
    Read = Callable[[bytes, int, int], tuple[Any, int]]

_NAMES: dict[str, Any] = {"Mapping": Mapping, "Proxy": Proxy, "Rule": Rule, "Match": Match}

# marshal writes digits of 15 bits. An IPv6 address has 9 of them.
_DIGIT = 15
_MOST_DIGITS = 16
# No settings are deeper.
_DEEPEST = 16
_INT = struct.Struct("<i")
_FLOAT = struct.Struct("<d")


def read(data: bytes) -> Settings:
    """Return the settings in `data`, which `config.inherited.encoded` has written. Raises ValueError."""
    try:
        settings = inherited.decoded(unmarshal(data))
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


def unmarshal(data: bytes) -> Any:
    """Return the value that marshal.dumps(value, 2) has written. Raises ValueError for anything else.

    A value is a byte for its type, followed by its content. Version 2 of the format has no references.
    """
    try:
        value, end = _read_value(data, 0, 0)
    except (KeyError, IndexError, struct.error) as error:
        raise ValueError(f"not what marshal writes: {error}") from None
    if end != len(data):
        raise ValueError("more data than one value")
    return value


def _read_value(data: bytes, place: int, depth: int) -> tuple[Any, int]:
    """Raises ValueError, KeyError, IndexError or struct.error for data that is no value."""
    return _READ[data[place]](data, place + 1, depth)


def _read_int(data: bytes, place: int, _: int) -> tuple[int, int]:
    (number,) = _INT.unpack_from(data, place)
    return number, place + _INT.size


def _read_float(data: bytes, place: int, _: int) -> tuple[float, int]:
    (number,) = _FLOAT.unpack_from(data, place)
    return number, place + _FLOAT.size


def _read_long(data: bytes, place: int, _: int) -> tuple[int, int]:
    """Read an integer: the number of its digits, negative for a negative integer, and the digits of 15 bits."""
    count, place = _read_int(data, place, 0)
    if abs(count) > _MOST_DIGITS:
        raise ValueError("the number is too long")
    digits = struct.unpack_from(f"<{abs(count)}H", data, place)
    number: int = sum(digit << _DIGIT * index for index, digit in enumerate(digits))
    return number if count >= 0 else -number, place + 2 * len(digits)


def _read_bytes(data: bytes, place: int, _: int) -> tuple[bytes, int]:
    length, place = _read_int(data, place, 0)
    end = place + length
    if length < 0 or end > len(data):
        raise ValueError("the data ends too early")
    return data[place:end], end


def _read_text(data: bytes, place: int, _: int) -> tuple[str, int]:
    text, end = _read_bytes(data, place, 0)
    return text.decode("utf-8", "surrogatepass"), end


def _read_list(data: bytes, place: int, depth: int) -> tuple[list[Any], int]:
    count, place = _read_int(data, place, 0)
    if count < 0 or depth >= _DEEPEST:
        raise ValueError("no number of items, or too deep")
    values = []
    for _ in range(count):
        value, place = _read_value(data, place, depth + 1)
        values.append(value)
    return values, place


def _read_tuple(data: bytes, place: int, depth: int) -> tuple[tuple[Any, ...], int]:
    values, end = _read_list(data, place, depth)
    return tuple(values), end


def _read_dict(data: bytes, place: int, depth: int) -> tuple[dict[str, Any], int]:
    """Read pairs of a text and a value, up to the byte that ends them."""
    if depth >= _DEEPEST:
        raise ValueError("too deep")
    found = {}
    while data[place] != _END:
        key, place = _read_value(data, place, depth + 1)
        if not isinstance(key, str):
            raise ValueError("keys are texts")
        found[key], place = _read_value(data, place, depth + 1)
    return found, place + 1


_END = ord("0")
_READ: dict[int, Read] = {
    ord("N"): lambda _, place, __: (None, place),
    ord("T"): lambda _, place, __: (True, place),
    ord("F"): lambda _, place, __: (False, place),
    ord("i"): _read_int,
    ord("l"): _read_long,
    ord("g"): _read_float,
    ord("s"): _read_bytes,
    ord("u"): _read_text,
    ord("["): _read_list,
    ord("("): _read_tuple,
    ord("{"): _read_dict,
}
