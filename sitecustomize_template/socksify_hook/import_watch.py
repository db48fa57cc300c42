"""Watches for the import of `socket`, for the start of a child, and for modules that must find the package installed.

The finder of the hook calls find_spec() and find_ahead(). Their loaders install at the right moment.
"""

import os
import sys
from _frozen_importlib import module_from_spec
from _frozen_importlib_external import PathFinder

import socksify_hook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any


def find_spec(name: str, path: "Sequence[str] | None", target: "ModuleType | None") -> "ModuleSpec | None":
    """Find a module by the other finders, and give it a loader that reports when the module has run.

    The package socksify is found where it was at the start.
    """
    if name == "socksify":
        # By now the program's directory is on sys.path. It may contain another module with this name.
        return PathFinder.find_spec(name, [*filter(_holds_ours, _homes()), *socksify_hook.path])
    spec = _find_by_others(name, path, target)
    if spec is not None:
        spec.loader = _Loader(spec)  # type: ignore[assignment]
    return spec


def find_ahead(name: str, path: "Sequence[str] | None", target: "ModuleType | None") -> "ModuleSpec | None":
    """Find a module by the other finders, and give it a loader that installs before the module runs."""
    spec = _find_by_others(name, path, target)
    if spec is not None:
        spec.loader = _AheadLoader(spec.loader)  # type: ignore[assignment]
    return spec


def _find_by_others(name: str, path: "Sequence[str] | None", target: "ModuleType | None") -> "ModuleSpec | None":
    for finder in list(sys.meta_path):
        spec = None if finder is socksify_hook.finder else finder.find_spec(name, path, target)
        if spec is not None:
            return spec
    return None


def after_import(name: str) -> None:
    """Handle a module that has run, before its importer goes on."""
    if socksify_hook.state != "waiting":
        return
    if name == "_posixsubprocess":
        socksify_hook.replace_starters(sys.modules[name])
    elif name == "socket":
        _install()
    # `socket` starts with `import _socket`. In that case the hook waits for the end of the import of `socket`.
    elif "socket" not in sys.modules:
        install()


def before_extension(path: str) -> None:
    """Install if the extension module in a file connects: the package names it, or refuses it."""
    if socksify_hook.state != "waiting":
        return
    try:
        from socksify.elf.network_code import connects

        is_wanted = connects(path)
    except Exception:
        # The package is missing or damaged. The install reports this.
        is_wanted = True
    if is_wanted:
        install()


def install() -> None:
    """Install now, or wait until another thread has installed.

    This happens during the import of `socket`. Its lock stops other threads that import it, so none of them gets a
    socket that is not covered yet.
    """
    if socksify_hook.state in ("waiting", "installing"):
        try:
            import socket
        except RuntimeError:
            # The import system has found a deadlock: the thread that imports `socket` waits for a module of this
            # thread. That thread installs.
            return
        if not getattr(socket.__spec__, "_initializing", False):
            _install()


def _install() -> None:
    if socksify_hook.state != "waiting":
        return
    socksify_hook.restore_functions()
    socksify_hook.enter("installing")
    try:
        from socksify_hook import installer

        installer.install()
    except BaseException as error:
        # Even closing the network has failed.
        if isinstance(error, Exception) or socksify_hook.state == "installing":
            socksify_hook.shut(error)
        if not isinstance(error, Exception):
            raise
    finally:
        socksify_hook.end()


def _let_finish() -> None:
    """Before a fork, wait for an import of `socket` in another thread.

    The child would not have that thread, and would wait for it for ever.
    """
    if "socket" in sys.modules:
        import socket  # noqa: F401


def _homes() -> "list[str]":
    """Return the directories above the hook that may contain the package.

    The hook is in site-packages, in a checkout, or in a package from a wheel. A link to it may be elsewhere.
    """
    homes = []
    for file in dict.fromkeys((os.path.abspath(__file__), os.path.realpath(__file__))):
        home = os.path.dirname(file)
        for _ in range(3):
            home = os.path.dirname(home)
            homes.append(home)
    return homes


def _holds_ours(home: str) -> bool:
    # A copy of the hook may be in a directory to which other users may write.
    try:
        return _owner(os.path.join(home, "socksify", "__init__.py")) == _owner(__file__)
    except OSError:
        return False


def _owner(path: str) -> int:
    """Return the owner of a file, or of the archive that contains it."""
    try:
        return os.stat(path).st_uid
    except NotADirectoryError:
        return _owner(os.path.dirname(path))


class _Loader:
    """Takes the place of a module's loader until it is called. Reports when the module has run."""

    def __init__(self, spec: "Any") -> None:
        self._spec = spec
        self._loader = spec.loader

    def __getattr__(self, name: str) -> "Any":
        return getattr(self._loader, name)

    def create_module(self, spec: "Any") -> "ModuleType":
        # The module must keep the true loader.
        spec.loader = self._loader
        try:
            return module_from_spec(spec)
        finally:
            spec.loader = self

    def exec_module(self, module: "ModuleType") -> None:
        self._spec.loader = self._loader
        self._loader.exec_module(module)
        after_import(self._spec.name)


class _AheadLoader:
    """Installs, and then lets the module be imported as if it had not been found yet.

    It does not install when the module is found: all other imports wait meanwhile, and an install in another thread may
    need one of them.
    """

    def __init__(self, loader: "Any") -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> "Any":
        return getattr(self._loader, name)

    def create_module(self, spec: "Any") -> "ModuleType":
        spec.loader = self._loader
        try:
            install()
            __import__(spec.name)
            return sys.modules[spec.name]
        finally:
            spec.loader = self

    def exec_module(self, module: "ModuleType") -> None:
        """Give the module, which has run already, its true loader."""
        spec: Any = module.__spec__
        spec.loader = module.__loader__


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_let_finish)
