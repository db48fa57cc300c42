"""What python prepares for a program before its first statement: `__main__`, `sys.path[0]`, the program's own path."""

from __future__ import annotations

import builtins
import os
import sys

# Already loaded in every interpreter.
from _frozen_importlib import BuiltinImporter


def main_namespace(loader: object = BuiltinImporter) -> dict[str, object]:
    """The dictionary of `__main__`, the same object, as Python/pylifecycle.c's add_main_module() makes it."""
    namespace = vars(sys.modules["__main__"])
    annotated = "__annotations__" in namespace
    namespace.clear()
    namespace.update(__name__="__main__", __doc__=None, __package__=None, __loader__=loader, __spec__=None)
    if annotated:
        namespace["__annotations__"] = {}
    namespace["__builtins__"] = builtins
    return namespace


def forget(names: tuple[str, ...]) -> None:
    """Deletes names from `__main__`, as python deletes those that it lent to a script."""
    for name in names:
        vars(sys.modules["__main__"]).pop(name, None)


def lead_path(directory: str) -> None:
    """Puts a directory first on `sys.path`, unless -P, -I or PYTHONSAFEPATH keep it off."""
    if not sys.flags.safe_path:
        sys.path.insert(0, directory)


def absolute(path: str) -> str:
    """As Python/fileutils.c's _Py_abspath(): the working directory in front, nothing normalised."""
    directory = None if os.path.isabs(path) else working_directory()
    return path if directory is None else f"{directory}/{path}" if path else directory


def working_directory() -> str | None:
    """The working directory, None when it was removed, which keeps no program from running."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None


def has_importer(path: str) -> bool:
    """Whether `path` can stand on `sys.path`; the answer is cached as PyImport_GetImporter() caches it."""
    cache = sys.path_importer_cache
    if path not in cache:
        cache[path] = None
        for hook in sys.path_hooks:
            try:
                cache[path] = hook(path)
                break
            except ImportError:
                continue
    return cache[path] is not None
