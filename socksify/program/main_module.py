"""The interpreter as a program finds it: `__main__`, `sys.path`, and `sys.modules`.

If a program has its own `logging.py`, the program gets that module, as under python, and socksify keeps the standard
library's module. Without `shield` there would be two errors. The program would find the modules in `sys.modules` that
socksify has imported before. And if socksify imports a module later, inside a function, it would get the program's
module. Both errors are rare, because a file of the program must have the name of a standard module. One look into the
directory of the program finds such a file. If there is none, nothing else is done.

Modules with our patches always stay in `sys.modules`. Otherwise a program with its own `socket.py`, which loads the
standard library's `socket` again, would get an unpatched module, and would connect past the proxy.
"""

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

_PATCHED = frozenset({"_socket", "socket", "select", "selectors", "_ssl", "ssl", "asyncio"})
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def main_namespace(loader: object = BuiltinImporter) -> dict[str, object]:
    """Return the dictionary of `__main__`, with the content that add_main_module() of Python/pylifecycle.c gives it."""
    namespace = vars(sys.modules["__main__"])
    annotated = "__annotations__" in namespace
    namespace.clear()
    namespace.update(__name__="__main__", __doc__=None, __package__=None, __loader__=loader, __spec__=None)
    if annotated:
        namespace["__annotations__"] = {}
    namespace["__builtins__"] = builtins
    return namespace


def forget(names: tuple[str, ...]) -> None:
    """Delete names from `__main__`, as python deletes the names that it has added for a script."""
    for name in names:
        vars(sys.modules["__main__"]).pop(name, None)


def lead_path(directory: str) -> None:
    """Put a directory first on `sys.path`, unless -P, -I or PYTHONSAFEPATH forbid it."""
    if not sys.flags.safe_path:
        sys.path.insert(0, directory)


def absolute(path: str) -> str:
    """Return an absolute path as _Py_abspath() of Python/fileutils.c does. Nothing is normalised."""
    directory = None if os.path.isabs(path) else working_directory()
    return path if directory is None else f"{directory}/{path}" if path else directory


def working_directory() -> str | None:
    """Return the working directory, or None if it was removed. A program can run without one."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return None


def has_importer(path: str) -> bool:
    """Return True if `path` can be on `sys.path`. The answer is cached as PyImport_GetImporter() does."""
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


def shield(directory: str) -> Callable[[], None]:
    """Let our modules import the standard library, even if `directory` has a module of the same name.

    Call this while `directory` is not on `sys.path`. Call the returned function when the program is about to start: it
    removes from `sys.modules` the modules that socksify has imported and that the program has a file for. Patched
    modules stay.
    """
    names = _standard_names_in(directory)
    if not names:
        return lambda: None
    _import_through(_ours_of_the_standard_library(names))
    return lambda: _withdraw(names)


def _standard_names_in(directory: str) -> frozenset[str]:
    """Return the standard modules for which `directory` has a module of the same name."""
    try:
        entries = os.listdir(directory)
    except OSError:
        return frozenset()
    names = sys.stdlib_module_names.intersection(entry.partition(".")[0] for entry in entries)
    return frozenset(name for name in names if _is_found_in(directory, name))


def _is_found_in(directory: str, name: str) -> bool:
    from _frozen_importlib import BuiltinImporter, FrozenImporter
    from _frozen_importlib_external import PathFinder

    if BuiltinImporter.find_spec(name) or FrozenImporter.find_spec(name):  # they come before sys.path
        return False
    spec = PathFinder.find_spec(name, [directory])
    return spec is not None and spec.loader is not None  # a directory without __init__.py has no loader


def _ours_of_the_standard_library(names: frozenset[str]) -> dict[str, ModuleType]:
    """Import and return the standard modules, of these top-level names, that any source file of socksify imports."""
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
    """Give the modules of our package their own `__import__`, by the `__builtins__` in their globals."""
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
    # The modules that have read the command line were imported before this. So they are imported again.
    for name in [name for name in sys.modules if name.startswith("socksify.config") or name == "socksify._record"]:
        del sys.modules[name]


def _withdraw(names: frozenset[str]) -> None:
    for module in _loaded_since_launch():
        if module.partition(".")[0] in names - _PATCHED:
            del sys.modules[module]


def _loaded_since_launch() -> list[str]:
    """Return the modules that were loaded after socksify, or after runpy, which `-m` uses to start socksify."""
    loaded = list(sys.modules)
    starts = [loaded.index(name) for name in ("runpy", "socksify") if name in sys.modules]
    return loaded[min(starts, default=len(loaded)) :]
