"""Hears when `socket` is imported, by a finder that stands before the others until then."""

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

_HERE = os.path.dirname(os.path.abspath(__file__))
# Beside the hook: in site-packages, in a checkout, and in a wheel, which has the template in the package.
_HOMES = [os.path.dirname(_HERE), os.path.dirname(os.path.dirname(_HERE))]
_HOMES.append(os.path.dirname(_HOMES[-1]))


def begin() -> None:
    """Wait; at once, if it is there already."""
    sys.meta_path.insert(0, _FINDER)
    for name in ("socket", "_socket"):
        if name in sys.modules:
            _arrived(name)


def end() -> None:
    """Wait no longer."""
    if _FINDER in sys.meta_path:
        sys.meta_path.remove(_FINDER)


class _Finder:
    """Hears of imports, and has our own package come from where it was at the start."""

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        if name == "socksify":
            return _find_package()
        if name in ("socket", "_socket"):
            for finder in list(sys.meta_path):
                spec = None if finder is self else finder.find_spec(name, path, target)
                if spec is not None:
                    spec.loader = _Loader(spec)  # type: ignore[assignment]
                    return spec
        return None


def _find_package() -> "ModuleSpec | None":
    """The program's directory, which is on sys.path by now, may have something else of this name."""
    return PathFinder.find_spec("socksify", [*filter(_holds_ours, _HOMES), *socksify_hook.path])


def _holds_ours(home: str) -> bool:
    # A copy of the hook may lie where anybody may write.
    try:
        owner = os.stat(os.path.join(home, "socksify", "__init__.py")).st_uid
        return owner == os.stat(__file__).st_uid
    except OSError:
        return False


_FINDER: "Any" = _Finder()


class _Loader:
    """Stands in for a module's loader until it is called, to hear when the module has run, before its importer does."""

    def __init__(self, spec: "Any") -> None:
        self._spec = spec
        self._loader = spec.loader

    def __getattr__(self, name: str) -> "Any":
        return getattr(self._loader, name)

    def create_module(self, spec: "Any") -> "ModuleType":
        # What it leaves in the module is the true loader.
        spec.loader = self._loader
        try:
            return module_from_spec(spec)
        finally:
            spec.loader = self

    def exec_module(self, module: "ModuleType") -> None:
        self._spec.loader = self._loader
        self._loader.exec_module(module)
        _arrived(self._spec.name)


def _arrived(name: str) -> None:
    # `socket` begins with `import _socket`; what matters then is its own arrival.
    if socksify_hook.state == "waiting" and (name == "socket" or "socket" not in sys.modules):
        from socksify_hook import arrival

        arrival.install()
