"""Reads from an ELF file the dynamic symbols that it imports, and the libraries that it needs.

Only the parts that the dynamic loader reads are read: the program headers, the dynamic section, and the symbols that
are not in the hash table, which are the imported ones (gABI chapter 5; `symoffset` of the GNU hash table). All reads
are bounded. A file that is damaged, or is no ELF file, imports nothing.
"""

from __future__ import annotations

import os
from struct import Struct, error, iter_unpack

from socksify._record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

_MAGIC = b"\x7fELF\x02\x01"
_HEADER = Struct("<32xQ14xHH")
_SEGMENT = Struct("<IIQQQQ16x")
_LOAD, _DYNAMIC = 1, 2
_NEEDED, _HASH, _STRINGS, _SYMBOLS, _STRINGS_SIZE, _RPATH, _RUNPATH, _GNU_HASH = 1, 4, 5, 6, 10, 15, 29, 0x6FFFFEF5
# In bytes.
_SYMBOL = 24
_LONGEST_DYNAMIC, _LONGEST_SYMBOLS, _LONGEST_STRINGS = 1 << 16, 1 << 24, 1 << 26
_MOST_SEGMENTS = 64


class Library(Record):
    """The imports of a file.

    `imports` are the imported symbols among those that were asked for. `needed` are the sonames of libraries, and
    `paths` the directories in which the loader looks for them.
    """

    imports: frozenset[bytes] = frozenset()
    needed: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


def read(path: str, names: Collection[bytes]) -> Library:
    """Return the imports of a file; of its symbols those in `names`. Empty if it is not a little-endian ELF64 file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError):
        return Library()
    try:
        return _File(fd).library(names)
    except (OSError, error, IndexError, OverflowError):
        return Library()
    finally:
        os.close(fd)


class _File:
    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._segments: list[tuple[int, ...]] = []

    def library(self, names: Collection[bytes]) -> Library:
        head = os.pread(self._fd, 64, 0)
        if not head.startswith(_MAGIC):
            return Library()
        place, size, count = _HEADER.unpack_from(head)
        table = os.pread(self._fd, size * min(count, _MOST_SEGMENTS), place)
        self._segments = [_SEGMENT.unpack_from(table, start) for start in range(0, len(table), size)] if size else []
        dynamic = next((segment for segment in self._segments if segment[0] == _DYNAMIC), None)
        if dynamic is None:
            return Library()
        return self._dynamic(dynamic, names)

    def _dynamic(self, segment: tuple[int, ...], names: Collection[bytes]) -> Library:
        data = os.pread(self._fd, min(segment[5], _LONGEST_DYNAMIC), segment[2])
        entries = list(iter_unpack("<QQ", data[: len(data) // 16 * 16]))
        values = dict(reversed(entries))
        strings = self._at(values.get(_STRINGS, 0), min(values.get(_STRINGS_SIZE, 0), _LONGEST_STRINGS))

        def texts(*tags: int) -> tuple[str, ...]:
            starts = [value for tag, value in entries if tag in tags]
            return tuple(os.fsdecode(strings[start : strings.index(b"\0", start)]) for start in starts)

        try:
            needed, paths = texts(_NEEDED), texts(_RPATH, _RUNPATH)
        except ValueError:
            return Library()
        searched = tuple(entry for path in paths for entry in path.split(":"))
        return Library(self._imported(values, strings, names), needed, searched)

    def _imported(self, values: dict[int, int], strings: bytes, names: Collection[bytes]) -> frozenset[bytes]:
        # A name may be the end of a longer name.
        found: dict[int, bytes] = {}
        for name in names:
            place = strings.find(name + b"\0")
            while place >= 0:
                found[place] = name
                place = strings.find(name + b"\0", place + 1)
        if not found:
            return frozenset()
        if _GNU_HASH in values:
            (count,) = Struct("<4xI").unpack_from(self._at(values[_GNU_HASH], 8))
        else:
            (count,) = Struct("<4xI").unpack_from(self._at(values[_HASH], 8)) if _HASH in values else (0,)
        symbols = self._at(values.get(_SYMBOLS, 0), min(count * _SYMBOL, _LONGEST_SYMBOLS))
        whole = symbols[: len(symbols) // _SYMBOL * _SYMBOL]
        return frozenset(
            found[name] for name, section in iter_unpack("<I2xH16x", whole) if not section and name in found
        )

    def _at(self, address: int, length: int) -> bytes:
        """Return the bytes that are loaded at an address."""
        for kind, _, place, start, _, size in self._segments:
            if kind == _LOAD and start <= address < start + size:
                return os.pread(self._fd, length, place + address - start)
        return b""
