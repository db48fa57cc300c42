"""Reads plain data that another process has written by marshal.dumps(value, 2).

marshal.loads() may crash for bytes that marshal has not written, and the supervisor reads the bytes of any process of
its tree. Version 2 of the format has no references. A value is a byte for its type, followed by its content.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

_CONSTANTS = {b"N": None, b"T": True, b"F": False}
_DIGIT = 15
# An IPv6 address has 9 digits.
_MOST_DIGITS = 16
# No settings are deeper.
_DEEPEST = 16


def read(data: bytes) -> Any:
    """Return the value that the data consists of. Raises ValueError for anything else."""
    reader = _Reader(data)
    value = reader.value(0)
    if not reader.is_at_end:
        raise ValueError("more data than one value")
    return value


class _Reader:
    """Reads one value after the other."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0
        self._scalars: dict[bytes, Callable[[], Any]] = {
            b"i": lambda: self._number("<i"),
            b"g": lambda: self._number("<d"),
            b"l": self._long,
            b"s": lambda: self._take(self._number("<i")),
            b"u": lambda: self._take(self._number("<i")).decode("utf-8", "surrogatepass"),
        }

    @property
    def is_at_end(self) -> bool:
        return self._place == len(self._data)

    def value(self, depth: int) -> Any:
        kind = self._take(1)
        if kind in _CONSTANTS:
            return _CONSTANTS[kind]
        if kind in self._scalars:
            return self._scalars[kind]()
        if depth >= _DEEPEST:
            raise ValueError("too deep")
        if kind == b"(":
            return tuple(self._values(depth))
        if kind == b"[":
            return list(self._values(depth))
        if kind == b"{":
            return dict(self._items(depth))
        raise ValueError(f"no type {kind!r}")

    def _values(self, depth: int) -> Iterator[Any]:
        for _ in range(self._number("<i")):
            yield self.value(depth + 1)

    def _items(self, depth: int) -> Iterator[tuple[str, Any]]:
        while self._data[self._place : self._place + 1] != b"0":
            key = self.value(depth + 1)
            if not isinstance(key, str):
                raise ValueError("keys are texts")
            yield key, self.value(depth + 1)
        self._take(1)

    def _long(self) -> int:
        """Return an integer: the number of its digits, negative for a negative integer, and the digits of 15 bits."""
        count: int = self._number("<i")
        if abs(count) > _MOST_DIGITS:
            raise ValueError("the number is too long")
        digits = struct.unpack(f"<{abs(count)}H", self._take(2 * abs(count)))
        number: int = sum(digit << _DIGIT * place for place, digit in enumerate(digits))
        return number if count >= 0 else -number

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _take(self, size: int) -> bytes:
        end = self._place + size
        if size < 0 or end > len(self._data):
            raise ValueError("the data ends too early")
        self._place, begin = end, self._place
        return self._data[begin:end]
