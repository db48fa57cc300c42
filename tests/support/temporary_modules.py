"""Modules that tests write, to be imported."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.resources
import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

NAME = "arriving_x"


Watch = Callable[..., list[ModuleType]]


def write(path: Path, name: str = NAME, source: str = "value = 1\n") -> None:
    file = path.joinpath(*name.split("."))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.with_suffix(".py").write_text(source)
    importlib.invalidate_caches()


def package(path: Path) -> None:
    write(path, f"{NAME}.__init__", "")
    write(path, f"{NAME}.sub", "value = 2\n")


def refuse(name: str) -> None:
    raise ImportError(f"{name} is refused")
