"""The import watcher: who has to do something to a module does it when the module arrives, if it ever does.

A finder in front of the others asks them for what is watched, and puts a loader of its own round theirs. That one
gives way as soon as it is called: the module, while it runs and ever after, sees the spec and the loader that it
would have without us. For a name that nobody watches it costs one look into a dict.
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
    """Have `call(module)` called each time the module of this full name has run, before its importer gets it.

    At once, if it is there already. `before(name)` is called when it is about to be loaded. What either raises, the
    import raises: a module that could not be dealt with is not imported. Returns what ends the watch.
    """
    watch = _Watch(call, before)
    _watches[name] = (*_watches.get(name, ()), watch)
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
    try:
        if sys.modules.get(name) is not None:
            # Waits for another thread that has not finished with it.
            __import__(name)
            watch.at_once(sys.modules[name])
    except BaseException:
        _forget(name, watch)
        raise
    return lambda: _forget(name, watch)


class _Watch:
    __slots__ = ("_seen", "before", "call")

    def __init__(self, call: Callable[[ModuleType], object], before: Callable[[str], object] | None) -> None:
        self.call = call
        self.before = before
        self._seen: ModuleType | None = None

    def at_once(self, module: ModuleType) -> None:
        # It may have arrived after the watch began and before it was looked for.
        if self._seen is not module:
            self.arrived(module)

    def arrived(self, module: ModuleType) -> None:
        self._seen = module
        self.call(module)


# Replaced, never changed: they are gone through while other threads begin and end watches.
_watches: dict[str, tuple[_Watch, ...]] = {}


def _forget(name: str, watch: _Watch) -> None:
    left = tuple(each for each in _watches.get(name, ()) if each is not watch)
    if left:
        _watches[name] = left
    else:
        _watches.pop(name, None)
    if not _watches and _FINDER in sys.meta_path:
        sys.meta_path.remove(_FINDER)


class _Finder:
    def __init__(self) -> None:
        # Other tools' finders ask all finders, too; so we may be asked by one whom we have asked.
        self._searching: set[tuple[int, str]] = set()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in _watches:
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

    def keep_searches_of(self, thread: int) -> None:
        self._searching = {search for search in self._searching if search[0] == thread}

    def _ask_others(self, name: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
        for finder in list(sys.meta_path):
            find_spec = getattr(finder, "find_spec", None)
            if finder is self or find_spec is None:
                continue
            spec: ModuleSpec | None = find_spec(name, path, target)
            if spec is not None:
                return spec
        return None


_FINDER: Any = _Finder()


def after_fork() -> None:
    """In the child: searches of threads that are not here end nowhere, and their idents will be other threads'."""
    _FINDER.keep_searches_of(get_ident())


class _OldLoader:
    """Stands in for a loader until it is called; to who only looks at the spec, it looks like that one.

    This much will do for a loader that has load_module() and no exec_module(), as up to Python 3.3.
    """

    def __init__(self, spec: Any) -> None:
        self._spec = spec
        self._loader = spec.loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    # What isinstance() goes by.
    __class__ = property(lambda self: type(self._loader))

    def load_module(self, name: str | None = None) -> ModuleType:
        self._begin()
        self._spec.loader = self._loader
        module: ModuleType = self._loader.load_module(name or self._spec.name)
        return self._arrived(module)

    def _begin(self) -> None:
        for watch in _watches.get(self._spec.name, ()):
            if watch.before is not None:
                watch.before(self._spec.name)

    def _arrived(self, module: ModuleType) -> ModuleType:
        # A module may put something else in its place.
        module = sys.modules.get(self._spec.name, module)
        for watch in _watches.get(self._spec.name, ()):
            watch.arrived(module)
        return module


class _Loader(_OldLoader):
    """The same for a loader of today, or for none: a namespace package gets its loader together with its module."""

    def create_module(self, spec: Any) -> ModuleType:
        """A module with all its attributes, so that none comes from us."""
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
        self._arrived(module)
