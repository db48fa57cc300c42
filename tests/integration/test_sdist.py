"""An unpacked source distribution has what `make demo` and `make test` need, and its demo runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.support.paths import ROOT

# What these targets depend on, in turn, is read from the Makefile.
TARGETS = ("demo", "test")
# Made by the targets themselves.
MADE = re.compile(r"\.venv|\.pythons/")
# A word of a command that begins with a file's name, or with a directory's.
WORD = re.compile(r"(?:\.ci/|tests/|socksify/|sitecustomize_template/)[\w./-]+")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("sdist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(place)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=60)
    with tarfile.open(next(place.glob("*.tar.gz"))) as archive:
        archive.extractall(place, filter="data")
    return next(path for path in place.iterdir() if path.is_dir())


def rules(makefile: str) -> dict[str, tuple[list[str], str]]:
    """The dependencies and the commands of each target."""
    found = re.finditer(r"^([.\w%/-]+):(.*)\n((?:\t.*\n)*)", makefile, re.MULTILINE)
    return {rule[1]: (rule[2].split(), rule[3]) for rule in found}


def needed(makefile: str) -> set[str]:
    """The files that the targets name, and those that the targets depend on, and the variables that these use."""
    of = rules(makefile)
    variables = dict(re.findall(r"^(\w+) = (.*)$", makefile, re.MULTILINE))
    texts, todo, done = [], list(TARGETS), set[str]()
    while todo:
        target = todo.pop()
        if target in done:
            continue
        done.add(target)
        if target not in of:
            # A file, a rule's pattern, or what another target makes.
            texts.append(target if not MADE.match(target) else "")
            continue
        dependencies, commands = of[target]
        todo += dependencies + [name for name in of if f"--no-print-directory {name.partition('%')[0]}" in commands]
        texts.append(commands + " ".join(variables.get(name, "") for name in re.findall(r"\$\((\w+)\)", commands)))
    words = {word for text in texts for word in WORD.findall(text)}
    return words | {target for target in done if "." in target and target not in of and not MADE.match(target)}


def test_the_files_that_the_targets_name_are_there(unpacked: Path) -> None:
    names = needed((unpacked / "Makefile").read_text())
    assert {"pyproject.toml", "tests/demo.py", ".ci/packages", ".ci/pythons", ".ci/unpack-pythons"} <= names
    for name in names:
        assert (unpacked / name).exists(), name
        assert os.access(unpacked / name, os.X_OK) == os.access(ROOT / name, os.X_OK), name


def test_the_tests_and_what_they_read_are_there(unpacked: Path) -> None:
    for part in ("tests", "socksify", "sitecustomize_template"):
        paths = (path for path in (ROOT / part).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        files = [str(path.relative_to(ROOT)) for path in paths]
        assert files
        assert [name for name in files if not (unpacked / name).exists()] == []


def test_the_demo_runs(unpacked: Path) -> None:
    environ = {"PATH": os.defpath, "PYTHONPATH": str(unpacked), "HOME": str(unpacked)}
    command = [sys.executable, "tests/demo.py"]
    ended = subprocess.run(command, cwd=unpacked, env=environ, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("hello, you come from port") == 2
    assert "connect 127.0.0.1:" in ended.stderr and "(rule 127.0.0.1=proxy)" in ended.stderr
