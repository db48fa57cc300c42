"""The programs that a command line starts, and whether a Python among them finds the hook."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from socksify import _hook_location
from socksify.patches.children import command_lines
from socksify.patches.children.command_lines import CommandLine, Program

REAL = os.path.realpath(sys.executable)


@pytest.fixture(autouse=True)
def no_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_lines, "is_hooked", lambda path: "hooked" in path)


def program(path: str, words: Sequence[str]) -> Program:
    (found,) = command_lines.programs(CommandLine(path, tuple(words)))
    return found


def executable(path: Path, text: str) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    "path",
    [
        sys.executable,
        REAL,
        "/x/python",
        "/x/python3",
        "/x/python3.13t",
        "/usr/bin/python3-dbg",
        "/x/pypy3",
    ],
)
def test_a_python(path: str) -> None:
    assert program(path, [path, "x.py"]) == Program(path, True)


def test_an_installation_without_the_hook(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_hook_location, "_PACKAGE", str(tmp_path))
    assert program("/x/python3", ["/x/python3"]).why_not == "this installation of socksify lacks the hook"
    assert program("/hooked/python", ["/hooked/python"]).why_not == ""
    (tmp_path / "sitecustomize_template").mkdir()
    assert program("/x/python3", ["/x/python3"]).why_not == ""
    # The package is in an archive, and so is its hook.
    monkeypatch.setattr(_hook_location, "_PACKAGE", str(tmp_path / "archive.zip" / "socksify"))
    assert program("/x/python3", ["/x/python3"]).why_not == ""


@pytest.mark.parametrize("path", ["/x/python2", "/x/python2.7", "/x/pypy", "/x/pypy2.7-dbg"])
def test_a_python_before_3(path: str) -> None:
    assert program(path, [path, "x.py"]) == Program(path, True, "a Python before 3 cannot read the hook")


@pytest.mark.parametrize("path", ["/x/python3.5", "/x/python3.4", "/x/python3.2"])
def test_a_python_before_fstrings(path: str) -> None:
    assert program(path, [path, "x.py"]) == Program(path, True, "a Python before 3.6 cannot read the hook")


def test_a_directory_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "a" / "python3").mkdir(parents=True)
    python = executable(tmp_path / "b" / "python3", "")
    assert command_lines.find("python3", [str(tmp_path / "a"), str(tmp_path / "b")]) == python
    assert not command_lines.is_executable(str(tmp_path / "a" / "python3"))


@pytest.mark.parametrize(
    "path", ["/bin/sh", "/x/python3-config", "/x/pythonise", "/x/ipython", "/x/missing", "", "/x/bpython"]
)
def test_no_python(path: str) -> None:
    assert program(path, [path, "-I"]) == Program(path, False)


def test_a_link_under_another_name(tmp_path: Path) -> None:
    (tmp_path / "interpreter").symlink_to(REAL)
    assert program(str(tmp_path / "interpreter"), ["x"]).is_python


@pytest.mark.parametrize(
    ("words", "why_not"),
    [
        ([], ""),
        (["-I"], "-I"),
        (["-uIc", "x"], "-I"),
        (["-E", "x.py"], "-E"),
        (["-B", "-sE", "x.py"], "-E"),
        (["-S"], "-S"),
        (["-IS"], "-S"),
        (["-c", "-I"], ""),
        (["-cI"], ""),
        (["-mI", "-E"], ""),
        (["x.py", "-I"], ""),
        (["-", "-I"], ""),
        (["--", "-I"], ""),
        (["-W", "-I", "x.py"], ""),
        (["-WI", "-X", "E", "-I"], "-I"),
        (["-vWI", "x.py"], ""),
        (["--check-hash-based-pycs", "never", "-I"], "-I"),
        (["--version", "-S"], "-S"),
        ([""], ""),
    ],
)
def test_options(words: Sequence[str], why_not: str) -> None:
    found = program("/x/python3", ["python3", *words])
    assert found.is_python
    assert found.why_not.partition(" ")[0] == why_not


def test_a_hook_outlives_all_but_S() -> None:
    assert program("/hooked/python", ["/hooked/python", "-I"]).why_not == ""
    assert program("/hooked/python", ["/hooked/python", "-IS"]).why_not.startswith("-S")


@pytest.mark.parametrize(
    ("name", "hooked"), [("python", True), ("./hooked/bin/python", True), ("/x/python", False), ("other", False)]
)
def test_a_python_finds_its_hook_by_argv_0(
    name: str, hooked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hooked").mkdir()
    python = executable(tmp_path / "hooked" / "bin" / "python", "")
    monkeypatch.setenv("PATH", str(tmp_path / "hooked" / "bin"))
    path = python if not name.startswith(".") else os.path.join(tmp_path, name)
    assert program(path, [name, "-I"]).why_not == ("" if hooked else "-I ignores PYTHONPATH")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("#!/x/python3", ""),
        ("#! /x/python3 -I", "-I ignores PYTHONPATH"),
        ("#!/x/python3 -uS\r", "-S keeps every hook out"),
        ("#!/usr/bin/env python3", ""),
        ("#!/usr/bin/env -S python3 -E -u", "-E ignores PYTHONPATH"),
        ("#!/usr/bin/env -S -i python3", "env takes PYTHONPATH or the settings away"),
    ],
)
def test_scripts(line: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = executable(tmp_path / "bin" / "python3", "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    script = executable(tmp_path / "script", f"{line}\nprint()\n")
    found = program(script, [script, "-I"])
    assert found == Program(python if "env" in line else "/x/python3", True, expected)


def test_a_script_of_a_script(tmp_path: Path) -> None:
    inner = executable(tmp_path / "inner", "#!/x/python3 -I\n")
    outer = executable(tmp_path / "outer", f"#!{inner}\n")
    assert program(outer, [outer]).why_not
    shell = executable(tmp_path / "shell", f"#!/bin/sh\n{outer}\n")
    assert program(shell, [shell]).why_not


def test_a_circle_of_scripts_ends(tmp_path: Path) -> None:
    path = tmp_path / "script"
    executable(path, f"#!{path}\n")
    assert not program(str(path), [str(path)]).is_python


@pytest.mark.parametrize(
    ("words", "why_not"),
    [
        ("env A=b python3 x.py", ""),
        ("env -u A python3", ""),
        ("env -u PYTHONPATH python3", "env"),
        ("env -uPYTHONPATH python3", "env"),
        ("env --unset=PYTHONPATH python3", "env"),
        ("env PYTHONPATH=/x python3", "env"),
        ("env - python3", "env"),
        ("env -vi python3", "env"),
        ("env -i0 python3", "env"),
        ("env -vuPYTHONPATH python3", "env"),
        ("env --ignore-env python3", "env"),
        ("env --uns PYTHONPATH python3", "env"),
        ("env -u SOCKSIFY_INHERITED python3", "env"),
        ("env SOCKSIFY_INHERITED= python3", "env"),
        ("env -iS python3", "env"),
        ("env -vSpython3 -S x.py", "-S"),
        ("env --split-string=-i python3", "env"),
        ("env --chdir=/ -C/ -v -- python3", ""),
        ("env --ignore-environment python3 -I", "-I"),
        ("env -C / python3", ""),
        ("env env -i env python3", "env"),
    ],
)
def test_env_is_looked_through(words: str, why_not: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(tmp_path / "bin" / "python3", "")
    executable(tmp_path / "bin" / "env", "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    found = program("/usr/bin/env", words.split())
    assert found.is_python
    assert found.why_not.partition(" ")[0] == why_not


@pytest.mark.parametrize("words", ["env", "env -i", "env A=b", "env -S", "env -u", "env /bin/ls"])
def test_env_without_a_program_that_connects(words: str) -> None:
    assert not list(command_lines.programs(CommandLine("/usr/bin/env", tuple(words.split()))))
