"""What python prepares for a program before its first statement: `__main__`, `sys.path[0]`, the program's own path."""

from __future__ import annotations

import builtins
import os
import sys

# Already loaded in every interpreter.
from _frozen_importlib import BuiltinImporter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import ModuleType


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


# A program that has a `logging.py` of its own gets it, as under python, and we keep the standard library's.
#
# Two things would go wrong otherwise: the program would find in `sys.modules` what we imported before it, and what
# we import later, inside a function, would be the program's. Both are rare (a file of the program's must have a
# standard module's name), so until one look into the program's directory finds such a name, this costs that look.
#
# The modules that carry our patches stay, whatever the program calls its files: one that digs the standard library's
# `socket` out from behind its own would load it a second time, unpatched, and go past the proxy.


_PATCHED = frozenset({"_socket", "socket", "select", "selectors", "_ssl", "ssl", "asyncio"})
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def shield(directory: str) -> Callable[[], None]:
    """Lets our modules, those imported from now on, have the standard library's where `directory` has the same name.

    To be called while `directory` is not on `sys.path`. What is returned is to be called when the program is about
    to start: it takes out of `sys.modules` what we imported and the program has a file for, save what we patch.
    """
    names = _standard_names_in(directory)
    if not names:
        return lambda: None
    _import_through(_ours_of_the_standard_library(names))
    return lambda: _withdraw(names)


def _standard_names_in(directory: str) -> frozenset[str]:
    """The standard modules in whose place an import that looks in `directory` first would find another."""
    try:
        entries = os.listdir(directory)
    except OSError:
        return frozenset()
    names = sys.stdlib_module_names.intersection(entry.partition(".")[0] for entry in entries)
    return frozenset(name for name in names if _is_found_in(directory, name))


def _is_found_in(directory: str, name: str) -> bool:
    from _frozen_importlib import BuiltinImporter, FrozenImporter
    from _frozen_importlib_external import PathFinder

    if BuiltinImporter.find_spec(name) or FrozenImporter.find_spec(name):  # these come before sys.path
        return False
    spec = PathFinder.find_spec(name, [directory])
    return spec is not None and spec.loader is not None  # without a loader, a directory without __init__.py


def _ours_of_the_standard_library(names: frozenset[str]) -> dict[str, ModuleType]:
    """Every module of the standard library, of these top-level names, that any source file of ours speaks of."""
    import re
    from importlib import import_module

    spoken: set[str] = set()
    for directory, _, files in os.walk(_PACKAGE):
        for file in files:
            if file.endswith(".py"):
                with open(os.path.join(directory, file), encoding="utf-8") as source:
                    spoken.update(re.findall(r"^\s*(?:from|import)\s+([\w.]+)", source.read(), re.MULTILINE))
    wanted = {name for name in spoken if name.partition(".")[0] in names}
    wanted |= {name.partition(".")[0] for name in wanted}
    return {name: import_module(name) for name in wanted}


def _import_through(standard: Mapping[str, ModuleType]) -> None:
    """Gives the modules of our package an `__import__` of their own, through the `__builtins__` of their globals."""
    import builtins
    from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader

    def importing(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        if level == 0 and name in standard:
            return standard[name if fromlist else name.partition(".")[0]]
        return __import__(name, globals, locals, fromlist or (), level)

    own_builtins = vars(builtins) | {"__import__": importing}

    class Loader(SourceFileLoader):
        def exec_module(self, module: ModuleType) -> None:
            vars(module)["__builtins__"] = own_builtins
            super().exec_module(module)

    for directory, _, _ in os.walk(_PACKAGE):
        sys.path_importer_cache[directory] = FileFinder(directory, (Loader, SOURCE_SUFFIXES))
    # What the command line was read with came too early; it is imported once more.
    for name in [name for name in sys.modules if name.startswith("socksify.config") or name == "socksify._record"]:
        del sys.modules[name]


def _withdraw(names: frozenset[str]) -> None:
    for module in _loaded_since_launch():
        if module.partition(".")[0] in names - _PATCHED:
            del sys.modules[module]


def _loaded_since_launch() -> list[str]:
    """What `sys.modules` would not hold without us: all that came after us, or after runpy, which `-m` starts us by."""
    loaded = list(sys.modules)
    starts = [loaded.index(name) for name in ("runpy", "socksify") if name in sys.modules]
    return loaded[min(starts, default=len(loaded)) :]
