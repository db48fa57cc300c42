"""A command and a Python program are told apart by the words of the command line and the first bytes of the file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from socksify.program.command import find_command, gives_privileges

ELF = b"\x7fELF\x02\x01\x01"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory beside `bin`, the one directory of PATH."""
    directory = tmp_path / "here"
    directory.mkdir()
    (tmp_path / "bin").mkdir()
    monkeypatch.chdir(directory)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return directory


@pytest.fixture
def on_path(tmp_path: Path) -> Path:
    """An executable file on PATH: `prog`."""
    path = tmp_path / "bin" / "prog"
    path.write_bytes(b"echo no first line\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("word", ["-m", "-c", "-", "-mjson.tool", "-cpass", "missing", "missing.py", "a/b", "a\0b", ""])
def test_words_that_name_no_file_are_pythons(word: str) -> None:
    assert find_command([word, "x"]) == ""


@pytest.mark.parametrize(
    "content",
    [
        ELF,
        b"#!/bin/sh\necho\n",
        b"#! /usr/bin/env  bash\n",
        b"#!/usr/bin/env -S FOO=1 node --flag\n",
        b"#!/usr/bin/perl -w\n",
    ],
)
def test_a_file_for_another_interpreter_is_a_command(content: bytes, here: Path) -> None:
    (here / "prog").write_bytes(content)
    assert find_command(["prog"]) == "./prog"
    assert find_command(["../here/prog"]) == "../here/prog"
    assert find_command([str(here / "prog")]) == str(here / "prog")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"import socket\n",
        b"\x7fELV",
        b"PK\x03\x04",
        b"#!\n",
        b"#!/usr/bin/env python3\nprint()\n",
        b"#!/usr/bin/env -S python -u\n",
        b"#!/opt/venv/bin/python3.13t\n",
        b"#!/usr/bin/pypy3 -E\nPK\x03\x04",
        b"#!/bin/sh\n'''exec' /a/very/long/path/python \"$0\" \"$@\"\n' '''\n",
        b'#!/bin/sh\n"exec" "python3" "$0" "$@"\n',
    ],
)
def test_any_other_file_is_a_python_program(content: bytes, here: Path) -> None:
    (here / "prog").write_bytes(content)
    assert find_command(["prog"]) == find_command(["./prog"]) == ""


@pytest.mark.parametrize("name", ["prog.py", "prog.pyz", "prog.pyc", "prog.pyw"])
def test_a_file_with_a_name_of_pythons_is_a_python_program(name: str, here: Path) -> None:
    (here / name).write_bytes(b"#!/bin/sh\n")
    assert find_command([name]) == ""


def test_a_name_is_looked_for_on_path(on_path: Path) -> None:
    assert find_command(["prog", "--its-own", "argument"]) == str(on_path)


def test_a_file_that_cannot_be_executed_is_passed_over_on_path(on_path: Path) -> None:
    on_path.chmod(0o644)
    assert find_command(["prog"]) == ""


@pytest.mark.usefixtures("on_path")
def test_a_file_here_comes_before_path(here: Path) -> None:
    (here / "prog").write_text("import socket\n")
    assert find_command(["prog"]) == ""


def test_a_directory_here_hides_no_command(on_path: Path, here: Path) -> None:
    (here / "prog").mkdir()
    assert find_command(["prog"]) == str(on_path)
    (here / "prog" / "__main__.py").touch()
    assert find_command(["prog"]) == ""


@pytest.mark.parametrize(("mode", "expected"), [(0o755, False), (0o4755, False), (0o2755, True)])
def test_a_file_with_setgid_gives_privileges(mode: int, expected: bool, on_path: Path) -> None:
    """A file that is setuid for this very user gives nothing."""
    on_path.chmod(mode)
    assert gives_privileges(str(on_path)) is expected


def test_a_file_of_another_user_with_setuid_gives_privileges(on_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_path.chmod(0o4755)
    monkeypatch.setattr(os, "geteuid", lambda: on_path.stat().st_uid + 1)
    assert gives_privileges(str(on_path))


def test_a_file_with_capabilities_gives_privileges(on_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "listxattr", lambda _: ["user.mime_type", "security.capability"])
    assert gives_privileges(str(on_path))


def test_a_file_that_is_gone_gives_nothing(here: Path) -> None:
    assert not gives_privileges(str(here / "gone"))
