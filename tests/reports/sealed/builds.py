"""Compiles the programs of tests/programs that are written in C, Go and Java."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.support.paths import PROGRAMS
from tests.support.processes import require

SECONDS = 300


def _c(compiler: str, *options: str) -> Callable[[Path], None]:
    def build(target: Path) -> None:
        _run(require(compiler), "-O1", "-Wall", "-Werror", *options, "-o", str(target), str(PROGRAMS / "fetch.c"))

    return build


def _go(target: Path) -> None:
    # Without cgo, Go links statically and resolves names by itself.
    environment = {"CGO_ENABLED": "0", "GOCACHE": str(target.parent / "cache"), "GO111MODULE": "off"}
    _run(require("go"), "build", "-o", str(target), str(PROGRAMS / "fetch.go"), environment=environment)


def _java(target: Path) -> None:
    _run(require("javac"), "-d", str(target.parent), str(PROGRAMS / "Fetch.java"))


# By the name in a case's command.
BUILDS: Mapping[str, Callable[[Path], None]] = {
    "fetch_glibc": _c("gcc"),
    # glibc warns that a static program needs its libraries for look-ups when it runs. They are on this machine.
    "fetch_static": _c("gcc", "-static"),
    "fetch_musl": _c("musl-gcc", "-static"),
    "fetch_go": _go,
    "Fetch": _java,
}


def build(name: str, directory: Path) -> None:
    """Compile the program of this name into `directory`, once."""
    target = directory / name
    if not (target.exists() or target.with_suffix(".class").exists()):
        BUILDS[name](target)


def _run(*argv: str, environment: Mapping[str, str] | None = None) -> None:
    variables = {"PATH": os.environ.get("PATH", os.defpath), **(environment or {})}
    done = subprocess.run(argv, env=variables, capture_output=True, text=True, timeout=SECONDS)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr}")
