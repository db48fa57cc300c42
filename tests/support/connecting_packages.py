"""Packages with an extension module that connects, under any name."""

from __future__ import annotations

import importlib.util
import shutil
from importlib.machinery import ExtensionFileLoader, PathFinder
from pathlib import Path
from types import ModuleType


def file_of(module: str) -> Path:
    """Return the file of an installed module. Nothing is imported, because strict would then refuse to be installed."""
    package, _, name = module.rpartition(".")
    spec = PathFinder.find_spec(name, [str(file_of(package).parent)] if package else None)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin)


def write_package(directory: Path, name: str) -> Path:
    """Write a package with an extension module `_cares` that imports connect(3). Return the file of that module."""
    (directory / name).mkdir()
    (directory / name / "__init__.py").write_text("from . import _cares\n")
    return Path(shutil.copy(file_of("pycares._cares"), directory / name))


def loaded_module(name: str, file: Path) -> ModuleType:
    """Return a module that looks as if it had been loaded from a file."""
    loader = ExtensionFileLoader(name, str(file))
    module = ModuleType(name)
    module.__spec__ = importlib.util.spec_from_loader(name, loader)
    return module
