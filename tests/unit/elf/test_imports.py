"""The imports of ELF files: of real extension modules, and of files of both classes and byte orders."""

from __future__ import annotations

from pathlib import Path

import pytest

from socksify.elf.imports import Library, read
from tests.support.connecting_packages import file_of
from tests.support.elf_files import ElfFile

NAMES = (b"connect", b"getaddrinfo", b"never_heard_of")


def test_an_extension_module() -> None:
    library = read(str(file_of("pycares._cares")), NAMES)
    assert library.imports == {b"connect"}
    assert "libc.so.6" in library.needed
    assert not library.is_go


@pytest.mark.parametrize("hashed", ["gnu", "sysv", ""])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [32, 64])
def test_classes_byte_orders_and_hash_tables(bits: int, order: str, hashed: str, tmp_path: Path) -> None:
    file = tmp_path / "library.so"
    made = ElfFile(
        ("reconnect", "connect"), ("getaddrinfo",), ("liba.so", "libb.so"), "$ORIGIN:/x", bits, order, hashed
    )
    file.write_bytes(made.data())
    assert read(str(file), NAMES) == Library(frozenset([b"connect"]), ("liba.so", "libb.so"), ("$ORIGIN", "/x"))


def test_a_library_that_exports_nothing(tmp_path: Path) -> None:
    file = tmp_path / "library.so"
    file.write_bytes(ElfFile(("connect",), exports=()).data())
    assert read(str(file), NAMES).imports == {b"connect"}


def test_a_name_that_is_the_end_of_another_is_not_imported(tmp_path: Path) -> None:
    file = tmp_path / "library.so"
    file.write_bytes(ElfFile(("reconnect",)).data())
    assert not read(str(file), NAMES).imports


def test_a_library_in_go(tmp_path: Path) -> None:
    file = tmp_path / "library.so"
    file.write_bytes(ElfFile(note=b"\x04\0\0\0\x53\0\0\0\x04\0\0\0Go\0\0" + b"x" * 0x53).data())
    assert read(str(file), NAMES) == Library(is_go=True)


@pytest.mark.parametrize("bits", [32, 64])
def test_damaged_files_import_nothing_that_is_wrong(bits: int, tmp_path: Path) -> None:
    data = ElfFile(("connect",), needed=("liba.so",), runpath="/x", bits=bits).data()
    file = tmp_path / "cut"
    for length in range(len(data)):
        file.write_bytes(data[:length])
        assert read(str(file), NAMES).imports <= {b"connect"}
    for place in range(len(data)):
        file.write_bytes(data[:place] + b"\xff" * 4 + data[place + 4 :])
        assert read(str(file), NAMES).imports <= {b"connect"}


def test_what_is_no_elf_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for text in (b"", b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF\x03\x01" + b"\0" * 100):
        file.write_bytes(text)
        assert read(str(file), NAMES) == Library()
    assert read(str(tmp_path), NAMES) == read(str(tmp_path / "missing"), NAMES) == read("a\0b", NAMES) == Library()
