"""Post-import hooks: a function is called with a module as soon as that module is imported.

Our finder is the first finder. It asks the other finders for the modules that are watched, and wraps their loaders in
its own loader. When that loader is called, it puts the original loader back. Therefore the module always sees the spec
and the loader that it would have without socksify. The import of a module that is not watched costs one dict look-up.
"""

from __future__ import annotations

import sys
from _frozen_importlib import module_from_spec
from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any


def when_imported(
    name: str, call: Callable[[ModuleType], object], before: Callable[[str], object] | None = None
) -> Callable[[], None]:
    """Watch for the module whose full name is `name`. Return a function that ends the watch.

    `call(module)` is called each time the module has run, before its importer gets it. If the module is imported
    already, the call is made at once. `before(name)` is called when the module is about to be loaded. If `call` or
    `before` raises an exception, the import raises that exception, and the module is not imported.
    """
    watch = _Watch(call, before)
    FINDER.begin(name, watch)
    try:
        if sys.modules.get(name) is not None:
            # This import waits for another thread that is still importing the module.
            __import__(name)
            watch.call_at_once(sys.modules[name])
    except BaseException:
        FINDER.end(name, watch)
        raise
    return lambda: FINDER.end(name, watch)


class _Watch:
    __slots__ = ("_call", "_seen", "before")

    def __init__(self, call: Callable[[ModuleType], object], before: Callable[[str], object] | None) -> None:
        self._call = call
        self._seen: ModuleType | None = None
        self.before = before

    def call_at_once(self, module: ModuleType) -> None:
        # If the module was imported after the watch began, the call was made already.
        if self._seen is not module:
            self.call(module)

    def call(self, module: ModuleType) -> None:
        self._seen = module
        self._call(module)


class Finder:
    """The finder in `sys.meta_path`, which knows all watches. It is in the list while there are watches."""

    def __init__(self) -> None:
        # The tuples are replaced, never changed: other threads begin and end watches while a tuple is iterated over.
        self._watches: dict[str, tuple[_Watch, ...]] = {}
        # Some finders of other tools ask all finders, too. Therefore a finder that we ask may ask us.
        self._searching: set[tuple[int, str]] = set()

    def begin(self, name: str, watch: _Watch) -> None:
        """Begin a watch."""
        self._watches[name] = (*self.watches_of(name), watch)
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def end(self, name: str, watch: _Watch) -> None:
        """End a watch."""
        left = tuple(each for each in self.watches_of(name) if each is not watch)
        if left:
            self._watches[name] = left
        else:
            self._watches.pop(name, None)
        if not self._watches and self in sys.meta_path:
            sys.meta_path.remove(self)

    def watches_of(self, name: str) -> tuple[_Watch, ...]:
        """Return the watches for one module."""
        return self._watches.get(name, ())

    def is_idle(self) -> bool:
        """Return True if there is no watch and no search."""
        return not self._watches and not self._searching

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a watched module, with our loader; None for other modules. importlib calls this."""
        if name not in self._watches:
            return None
        search = (get_ident(), name)
        if search in self._searching:
            return None
        self._searching.add(search)
        try:
            spec = self._ask_others(name, path, target)
        finally:
            self._searching.discard(search)
        if spec is not None:
            is_old = spec.loader is not None and not hasattr(spec.loader, "exec_module")
            loader: Any = _OldLoader if is_old else _Loader
            spec.loader = loader(spec)
        return spec

    def after_fork(self) -> None:
        """In the child, forget the searches of the parent's other threads. New threads may get the same identifiers."""
        own = get_ident()
        self._searching = {search for search in self._searching if search[0] == own}

    def _ask_others(self, name: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
        for finder in list(sys.meta_path):
            find_spec = getattr(finder, "find_spec", None)
            if finder is self or find_spec is None:
                continue
            spec: ModuleSpec | None = find_spec(name, path, target)
            if spec is not None:
                return spec
        return None


FINDER = Finder()


class _OldLoader:
    """Wraps a loader until the import system calls it. For code that only reads the spec, it looks like that loader.

    This class is for a loader that has load_module() and no exec_module(), as up to Python 3.3.
    """

    def __init__(self, spec: Any) -> None:
        self._spec = spec
        self._loader = spec.loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    # isinstance() reads this attribute.
    __class__ = property(lambda self: type(self._loader))

    def load_module(self, name: str | None = None) -> ModuleType:
        self._begin()
        self._spec.loader = self._loader
        module: ModuleType = self._loader.load_module(name or self._spec.name)
        return self._finish(module)

    def _begin(self) -> None:
        for watch in FINDER.watches_of(self._spec.name):
            if watch.before is not None:
                watch.before(self._spec.name)

    def _finish(self, module: ModuleType) -> ModuleType:
        # A module may replace itself in sys.modules.
        module = sys.modules.get(self._spec.name, module)
        for watch in FINDER.watches_of(self._spec.name):
            watch.call(module)
        return module


class _Loader(_OldLoader):
    """Wraps a loader that has exec_module(), or None: a namespace package gets its loader together with its module."""

    def create_module(self, spec: Any) -> ModuleType:
        """Return a module that has all its attributes, so that the import system sets none by looking at us."""
        self._begin()
        spec.loader = self._loader
        try:
            return module_from_spec(spec)
        finally:
            self._loader, spec.loader = spec.loader, self

    def exec_module(self, module: ModuleType) -> None:
        self._spec.loader = self._loader
        if self._loader is None:  # a reload
            module_from_spec(self._spec)
            self._loader = self._spec.loader
        if module.__loader__ is self:  # a reload
            module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._finish(module)
