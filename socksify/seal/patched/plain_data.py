"""Reads plain data that another process has written by marshal.dumps(value, 2).

marshal.loads() may crash for bytes that marshal has not written, and the supervisor reads the bytes of any process of
its tree. Version 2 of the format has no references. A value is a byte for its type, followed by its content.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    # Takes the data, the place behind the byte for the type, and the depth. Returns the value and the place behind it.
    Read = Callable[[bytes, int, int], tuple[Any, int]]

_DIGIT = 15
# An IPv6 address has 9 digits.
_MOST_DIGITS = 16
# No settings are deeper.
_DEEPEST = 16
_INT = struct.Struct("<i")
_FLOAT = struct.Struct("<d")


def read(data: bytes) -> Any:
    """Return the value that the data consists of. Raises ValueError for anything else."""
    try:
        value, end = _value(data, 0, 0)
    except (KeyError, IndexError, struct.error) as error:
        raise ValueError(f"not what marshal writes: {error}") from None
    if end != len(data):
        raise ValueError("more data than one value")
    return value


def _value(data: bytes, place: int, depth: int) -> tuple[Any, int]:
    """Raises ValueError, KeyError, IndexError or struct.error for data that is no value."""
    return _READ[data[place]](data, place + 1, depth)


def _int(data: bytes, place: int, _: int) -> tuple[int, int]:
    (number,) = _INT.unpack_from(data, place)
    return number, place + _INT.size


def _float(data: bytes, place: int, _: int) -> tuple[float, int]:
    (number,) = _FLOAT.unpack_from(data, place)
    return number, place + _FLOAT.size


def _long(data: bytes, place: int, _: int) -> tuple[int, int]:
    """Read an integer: the number of its digits, negative for a negative integer, and the digits of 15 bits."""
    count, place = _int(data, place, 0)
    if abs(count) > _MOST_DIGITS:
        raise ValueError("the number is too long")
    digits = struct.unpack_from(f"<{abs(count)}H", data, place)
    number: int = sum(digit << _DIGIT * index for index, digit in enumerate(digits))
    return number if count >= 0 else -number, place + 2 * len(digits)


def _bytes(data: bytes, place: int, _: int) -> tuple[bytes, int]:
    length, place = _int(data, place, 0)
    end = place + length
    if length < 0 or end > len(data):
        raise ValueError("the data ends too early")
    return data[place:end], end


def _text(data: bytes, place: int, _: int) -> tuple[str, int]:
    text, end = _bytes(data, place, 0)
    return text.decode("utf-8", "surrogatepass"), end


def _list(data: bytes, place: int, depth: int) -> tuple[list[Any], int]:
    count, place = _int(data, place, 0)
    if count < 0 or depth >= _DEEPEST:
        raise ValueError("no number of items, or too deep")
    values = []
    for _ in range(count):
        value, place = _value(data, place, depth + 1)
        values.append(value)
    return values, place


def _tuple(data: bytes, place: int, depth: int) -> tuple[tuple[Any, ...], int]:
    values, end = _list(data, place, depth)
    return tuple(values), end


def _dict(data: bytes, place: int, depth: int) -> tuple[dict[str, Any], int]:
    """Read pairs of a text and a value, up to the byte that ends them."""
    if depth >= _DEEPEST:
        raise ValueError("too deep")
    found = {}
    while data[place] != _END:
        key, place = _value(data, place, depth + 1)
        if not isinstance(key, str):
            raise ValueError("keys are texts")
        found[key], place = _value(data, place, depth + 1)
    return found, place + 1


_END = ord("0")
_READ: dict[int, Read] = {
    ord("N"): lambda _, place, __: (None, place),
    ord("T"): lambda _, place, __: (True, place),
    ord("F"): lambda _, place, __: (False, place),
    ord("i"): _int,
    ord("l"): _long,
    ord("g"): _float,
    ord("s"): _bytes,
    ord("u"): _text,
    ord("["): _list,
    ord("("): _tuple,
    ord("{"): _dict,
}
