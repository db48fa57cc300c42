"""Shared libraries with the parts that the dynamic loader reads, of both classes and byte orders. None can be run."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

# The headers are in front of it.
_CONTENT = 0x200
# Where the file begins in memory.
_ADDRESS = 0x10000
_LOAD, _DYNAMIC, _NOTE = 1, 2, 4
_NEEDED, _HASH, _STRINGS, _SYMBOLS, _STRINGS_SIZE, _RUNPATH, _GNU_HASH = 1, 4, 5, 6, 10, 29, 0x6FFFFEF5


@dataclass(frozen=True)
class ElfFile:
    """A library: the symbols that it imports and exports, and the libraries that it needs.

    `hashed` is `gnu`, `sysv` or empty for no hash table. `note` is the content of a segment with notes.
    """

    imports: Sequence[str] = ()
    exports: Sequence[str] = ("exported",)
    needed: Sequence[str] = ()
    runpath: str = ""
    bits: int = 64
    order: str = "<"
    hashed: str = "gnu"
    note: bytes = b""

    def data(self) -> bytes:
        """Return the content of the file."""
        names = [*self.imports, *self.exports, *self.needed, self.runpath]
        strings = b"\0" + b"".join(name.encode() + b"\0" for name in names)
        symbols, table = self._symbols(strings), self._hash_table()
        places = [_CONTENT, _CONTENT + len(symbols), _CONTENT + len(symbols) + len(strings)]
        dynamic = self._dynamic(strings, places)
        note = places[2] + len(table)
        content = symbols + strings + table + self.note + dynamic
        segments = [
            self._segment(_LOAD, 0, _CONTENT + len(content)),
            self._segment(_NOTE, note, len(self.note)),
            self._segment(_DYNAMIC, note + len(self.note), len(dynamic)),
        ]
        return (self._header(segments) + b"".join(segments)).ljust(_CONTENT, b"\0") + content

    def _packed(self, long: str, short: str, *values: int) -> bytes:
        return struct.pack(self.order + (long if self.bits == 64 else short), *values)

    def _header(self, segments: Sequence[bytes]) -> bytes:
        ident = b"\x7fELF" + bytes((self.bits // 32, 1 if self.order == "<" else 2, 1)).ljust(12, b"\0")
        size = 64 if self.bits == 64 else 52
        # The type of a shared library; its entry, program headers and sections.
        rest = self._packed("HHIQQQI", "HHIIIII", 3, 0, 1, 0, size, 0, 0)
        return ident + rest + self._packed("HHHHHH", "HHHHHH", size, len(segments[0]), len(segments), 0, 0, 0)

    def _segment(self, kind: int, place: int, size: int) -> bytes:
        address = _ADDRESS + place
        if self.bits == 64:
            return self._packed("IIQQQQQQ", "", kind, 4, place, address, address, size, size, 1)
        return self._packed("", "IIIIIIII", kind, place, address, address, size, size, 4, 1)

    def _symbols(self, strings: bytes) -> bytes:
        sections = [(name, 0) for name in self.imports] + [(name, 1) for name in self.exports]
        return self._symbol(0, 0) + b"".join(self._symbol(strings.index(name.encode()), at) for name, at in sections)

    def _symbol(self, name: int, section: int) -> bytes:
        if self.bits == 64:
            return self._packed("IBBHQQ", "", name, 0x12, 0, section, 0, 0)
        return self._packed("", "IIIBBH", name, 0, 0, 0x12, 0, section)

    def _hash_table(self) -> bytes:
        first, count = 1 + len(self.imports), 1 + len(self.imports) + len(self.exports)
        if self.hashed == "gnu":
            # GNU ld writes 1 where nothing is exported.
            return struct.pack(f"{self.order}IIII", 1, first if self.exports else 1, 1, 0)
        return struct.pack(f"{self.order}II", 1, count) if self.hashed else b""

    def _dynamic(self, strings: bytes, places: Sequence[int]) -> bytes:
        symbols, texts, table = (_ADDRESS + place for place in places)
        entries = [(_NEEDED, strings.index(name.encode())) for name in self.needed]
        entries += [(_RUNPATH, strings.index(self.runpath.encode()))] if self.runpath else []
        entries += [(_STRINGS, texts), (_SYMBOLS, symbols), (_STRINGS_SIZE, len(strings))]
        entries += [(_GNU_HASH if self.hashed == "gnu" else _HASH, table)] if self.hashed else []
        return b"".join(self._packed("QQ", "II", *entry) for entry in [*entries, (0, 0)])
