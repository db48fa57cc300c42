"""Reads from an ELF file the dynamic symbols that it imports, and the libraries that it needs.

Only the parts that the dynamic loader reads are read: the program headers, the dynamic section, and the symbols that
are not in the hash table, which are the imported ones (gABI chapter 5; `symoffset` of the GNU hash table). Files of 32
and of 64 bits are read, in both byte orders. All reads are bounded. A file that is damaged, or is no ELF file, imports
nothing.
"""

from __future__ import annotations

import os
from struct import Struct, error

from socksify._record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

_MAGIC = b"\x7fELF"
_LOAD, _DYNAMIC, _NOTE = 1, 2, 4
_NEEDED, _HASH, _STRINGS, _SYMBOLS, _STRINGS_SIZE, _RPATH, _RUNPATH, _GNU_HASH = 1, 4, 5, 6, 10, 15, 29, 0x6FFFFEF5
# In bytes.
_LONGEST_DYNAMIC, _LONGEST_SYMBOLS, _LONGEST_STRINGS, _LONGEST_NOTE = 1 << 16, 1 << 24, 1 << 26, 1 << 12
_MOST_SEGMENTS = 64
# The owner of the note in which the linker of Go writes its build ID.
_GO = b"Go\0\0"


class Library(Record):
    """The imports of a file.

    `imports` are the imported symbols among those that were asked for. `needed` are the sonames of libraries, and
    `paths` the directories in which the loader looks for them. `is_go` is True for a file from the linker of Go: code
    in Go makes system calls itself, so the imports do not tell what it does.
    """

    imports: frozenset[bytes] = frozenset()
    needed: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    is_go: bool = False


def read(path: str, names: Collection[bytes]) -> Library:
    """Return the imports of a file; of its symbols those in `names`. Empty if it is no ELF file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError):
        return Library()
    try:
        head = os.pread(fd, 64, 0)
        structures = _STRUCTURES.get(head[4:6]) if head.startswith(_MAGIC) else None
        return Library() if structures is None else _File(fd, structures, head).library(names)
    except (OSError, error, ValueError, OverflowError):
        return Library()
    finally:
        os.close(fd)


class _Structures:
    """The structures of files of one class (32 or 64 bits) and one byte order (`<` or `>`)."""

    def __init__(self, bits: int, order: str) -> None:
        is_long = bits == 64
        # Of the program headers: their place in the file, the size of one, their number.
        self.header = Struct(order + ("32xQ14xHH" if is_long else "28xI10xHH"))
        # Type, place in the file, address, physical address, size in the file.
        self.segment = Struct(order + ("I4xQQQQ" if is_long else "IIIII"))
        # Of an entry of the dynamic section: tag and value.
        self.entry = Struct(order + ("QQ" if is_long else "II"))
        # Of a symbol: name and section.
        self.symbol = Struct(order + ("I2xH16x" if is_long else "I10xH"))
        # The second word of a hash table.
        self.count = Struct(order + "4xI")


# By the two bytes EI_CLASS and EI_DATA.
_STRUCTURES = {
    bytes((klass, data)): _Structures(bits, order)
    for klass, bits in ((1, 32), (2, 64))
    for data, order in ((1, "<"), (2, ">"))
}


class _File:
    def __init__(self, fd: int, structures: _Structures, head: bytes) -> None:
        self._fd = fd
        self._structures = structures
        place, size, count = structures.header.unpack_from(head)
        table = os.pread(fd, size * min(count, _MOST_SEGMENTS), place)
        starts = range(0, len(table), size) if size else ()
        self._segments = [structures.segment.unpack_from(table, start) for start in starts]

    def library(self, names: Collection[bytes]) -> Library:
        data = next(self._contents(_DYNAMIC, _LONGEST_DYNAMIC), b"")
        entries = _unpacked(self._structures.entry, data)
        # The first entry with a tag counts.
        values: dict[int, int] = {}
        for tag, value in entries:
            values.setdefault(tag, value)
        strings = self._at(values.get(_STRINGS, 0), min(values.get(_STRINGS_SIZE, 0), _LONGEST_STRINGS))
        searched = tuple(entry for path in _texts(strings, entries, _RPATH, _RUNPATH) for entry in path.split(":"))
        is_go = any(_GO in note for note in self._contents(_NOTE, _LONGEST_NOTE))
        return Library(self._imported(values, strings, names), _texts(strings, entries, _NEEDED), searched, is_go)

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
        size = min(self._number_of_imports(values) * self._structures.symbol.size, _LONGEST_SYMBOLS)
        symbols = _unpacked(self._structures.symbol, self._at(values.get(_SYMBOLS, 0), size))
        return frozenset(found[name] for name, section in symbols if not section and name in found)

    def _number_of_imports(self, values: dict[int, int]) -> int:
        """Return the number of symbols at the start of the table that contain all imported ones."""
        if _GNU_HASH in values:
            (number,) = self._structures.count.unpack_from(self._at(values[_GNU_HASH], 8))
            # GNU ld writes 1 into the table of a file that exports nothing, whatever the file imports.
            if number > 1:
                return int(number)
        if _HASH in values:
            (number,) = self._structures.count.unpack_from(self._at(values[_HASH], 8))
            return int(number)
        # The strings usually follow the symbols.
        return max(0, values.get(_STRINGS, 0) - values.get(_SYMBOLS, 0)) // self._structures.symbol.size

    def _contents(self, kind: int, longest: int) -> Iterator[bytes]:
        """Return the contents of the segments of a kind, up to a length in bytes."""
        segments = (segment for segment in self._segments if segment[0] == kind)
        return (os.pread(self._fd, min(size, longest), place) for _, place, _, _, size in segments)

    def _at(self, address: int, length: int) -> bytes:
        """Return the bytes that are loaded at an address."""
        for kind, place, start, _, size in self._segments:
            if kind == _LOAD and start <= address < start + size:
                return os.pread(self._fd, length, place + address - start)
        return b""


def _unpacked(structure: Struct, data: bytes) -> list[tuple[int, ...]]:
    return list(structure.iter_unpack(data[: len(data) // structure.size * structure.size]))


def _texts(strings: bytes, entries: Sequence[tuple[int, ...]], *tags: int) -> tuple[str, ...]:
    """Return the texts of the entries with these tags. Raises ValueError for a place that is not in `strings`."""
    starts = [value for tag, value in entries if tag in tags]
    return tuple(os.fsdecode(strings[start : strings.index(b"\0", start)]) for start in starts)
