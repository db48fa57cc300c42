"""An unpacked source distribution has what `make demo` and `make test` need, without the history of git."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.processes import require

# Folders that are in it with all of their files.
FOLDERS = (".ci", "docs", "sitecustomize_template", "socksify", "tests")
FILES = (
    ".pre-commit-config.yaml",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "SECURITY.md",
)
# A word of a command that begins with a folder's name.
WORD = re.compile(rf"(?<![\w./-])(?:{'|'.join(map(re.escape, FOLDERS))})/[\w./-]+")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("sdist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(place)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=60)
    with tarfile.open(next(place.glob("*.tar.gz"))) as archive:
        archive.extractall(place, filter="data")
    return next(path for path in place.iterdir() if path.is_dir())


def files(folder: Path) -> list[Path]:
    found = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert found, folder
    return found


@pytest.fixture(scope="module")
def commands(unpacked: Path) -> str:
    """What make would run for both targets."""
    # A make that runs this test has told its options to its children.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    dry_run = [require("make"), "-n", "demo", "test"]
    ended = subprocess.run(dry_run, cwd=unpacked, env=environ, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def run(unpacked: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run this Python in the unpacked distribution, with its package and not with the one that is being tested."""
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(unpacked), "HOME": str(unpacked)}
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=unpacked, env=environ, capture_output=True, text=True, timeout=100)


def test_all_files_are_there(unpacked: Path) -> None:
    for path in [ROOT / name for name in FILES] + [path for folder in FOLDERS for path in files(ROOT / folder)]:
        copy = unpacked / path.relative_to(ROOT)
        assert copy.exists(), copy
        assert os.access(copy, os.X_OK) == os.access(path, os.X_OK), copy


def test_what_make_would_run_and_install_is_there(unpacked: Path, commands: str) -> None:
    named = set(WORD.findall(commands))
    assert {"tests/demo.py", ".ci/packages", ".ci/pythons", ".ci/unpack-pythons"} <= named
    assert [name for name in named if not (unpacked / name).exists()] == []
    groups = tomllib.loads((unpacked / "pyproject.toml").read_text())["dependency-groups"]
    installed = set(re.findall(r"--group (\S+)", commands))
    included = {item["include-group"] for group in groups.values() for item in group if isinstance(item, dict)}
    assert {"dev"} <= installed
    assert installed | included <= groups.keys()


def test_the_demo_runs(unpacked: Path) -> None:
    ended = run(unpacked, "tests/demo.py")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("hello, you come from port") == 2
    assert "connect 127.0.0.1:" in ended.stderr and "(rule 127.0.0.1=proxy)" in ended.stderr


def test_the_suite_starts(unpacked: Path) -> None:
    """The tests of the documents need a good part of what is in it."""
    ended = run(unpacked, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_documents.py")
    assert ended.returncode == 0, ended.stdout
