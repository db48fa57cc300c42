"""`socket` is being imported, or a child is started: whoever loads what is waited for tells when it has run."""

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
    """What the others find, with a loader of ours; our own package is found where it was at the start."""
    if name == "socksify":
        # The program's directory, which is on sys.path by now, may have something else of this name.
        return PathFinder.find_spec(name, [*filter(_holds_ours, _homes()), *socksify_hook.path])
    spec = _of_others(name, path, target)
    if spec is not None:
        spec.loader = _Loader(spec)  # type: ignore[assignment]
    return spec


def find_ahead(name: str, path: "Sequence[str] | None", target: "ModuleType | None") -> "ModuleSpec | None":
    """What the others find, with a loader that lets the package be first."""
    spec = _of_others(name, path, target)
    if spec is not None:
        spec.loader = _AheadLoader(spec.loader)  # type: ignore[assignment]
    return spec


def _of_others(name: str, path: "Sequence[str] | None", target: "ModuleType | None") -> "ModuleSpec | None":
    for finder in list(sys.meta_path):
        spec = None if finder is socksify_hook.finder else finder.find_spec(name, path, target)
        if spec is not None:
            return spec
    return None


def end() -> None:
    """Wait no longer."""
    if socksify_hook.finder in sys.meta_path:
        sys.meta_path.remove(socksify_hook.finder)


def arrived(name: str) -> None:
    """A module has run, before its importer goes on."""
    if socksify_hook.state != "waiting":
        return
    if name == "_posixsubprocess":
        socksify_hook.stand_in(sys.modules[name])
    elif name == "socket":
        _install()
    # `socket` begins with `import _socket`; what matters then is its own arrival.
    elif "socket" not in sys.modules:
        install()


def install() -> None:
    """It is time to, or another thread is at it; returns when it is done.

    All of it happens while `socket` is being imported, whose lock holds up other threads that import it: none of them
    gets a socket that is not covered yet.
    """
    if socksify_hook.state in ("waiting", "installing"):
        try:
            import socket
        except RuntimeError:
            # The import system's own: the thread that has begun with it waits for what this one imports. It installs.
            return
        if not getattr(socket.__spec__, "_initializing", False):
            _install()


def _install() -> None:
    if socksify_hook.state != "waiting":
        return
    socksify_hook.put_back()
    socksify_hook.state = "installing"
    try:
        from socksify_hook import installer

        installer.install()
    except BaseException as error:
        # It could not even close the network.
        if isinstance(error, Exception) or socksify_hook.state == "installing":
            socksify_hook.shut(error)
        if not isinstance(error, Exception):
            raise
    finally:
        end()


def _let_finish() -> None:
    """A forked child has no other thread, and would wait for ever for what one was in the middle of importing."""
    if "socket" in sys.modules:
        import socket  # noqa: F401


def give_up() -> None:
    """Wait no longer, and never install."""
    socksify_hook.state = "off: given up"
    socksify_hook.put_back()
    socksify_hook.reveal()
    end()


def _homes() -> "list[str]":
    """Above the hook: in site-packages, in a checkout, and in a wheel, which has the template in the package.

    A link may lead to it from elsewhere.
    """
    homes = []
    for file in dict.fromkeys((os.path.abspath(__file__), os.path.realpath(__file__))):
        home = os.path.dirname(file)
        for _ in range(3):
            home = os.path.dirname(home)
            homes.append(home)
    return homes


def _holds_ours(home: str) -> bool:
    # A copy of the hook may lie where anybody may write.
    try:
        return _owner(os.path.join(home, "socksify", "__init__.py")) == _owner(__file__)
    except OSError:
        return False


def _owner(path: str) -> int:
    """Of a file, or of the archive that it is in."""
    try:
        return os.stat(path).st_uid
    except NotADirectoryError:
        return _owner(os.path.dirname(path))


class _Loader:
    """Stands in for a module's loader until it is called."""

    def __init__(self, spec: "Any") -> None:
        self._spec = spec
        self._loader = spec.loader

    def __getattr__(self, name: str) -> "Any":
        return getattr(self._loader, name)

    def create_module(self, spec: "Any") -> "ModuleType":
        # What this leaves in the module is the true loader.
        spec.loader = self._loader
        try:
            return module_from_spec(spec)
        finally:
            spec.loader = self

    def exec_module(self, module: "ModuleType") -> None:
        self._spec.loader = self._loader
        self._loader.exec_module(module)
        arrived(self._spec.name)


class _AheadLoader:
    """Installs, and then has the module imported as if nobody had looked for it yet.

    Not when it is found: all other imports wait meanwhile, also the one that an install in another thread waits for.
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
        """It has run; what is left in it is the true loader."""
        spec: Any = module.__spec__
        spec.loader = module.__loader__


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_let_finish)
