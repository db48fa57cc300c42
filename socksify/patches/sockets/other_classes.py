"""Classes of sockets beside socket.socket: those of other libraries, and those of other copies of the module `socket`.

gevent has a class of its own, and eventlet has a copy of socket.socket. Such a class stands on `_socket.socket` as
socket.socket does, so it is given the same methods.

The module `socket` may be imported a second time: by importlib.reload(), by runpy, by module_from_spec(), by a loader
of its own, by exec() of its source. Tools that unload what they have imported at the start (ddtrace) import it again.
A module of the same name gets our functions and the class that every socket so far is of. A copy of another name keeps
its own class on `_socket.socket`, and CPython tells nobody about a new subclass of a type in C. But the methods of such
a class ask the module `_socket` for its `socket`, its __init__() first of all. So while connections are routed, that is
a property. Reading it covers the classes that were made since it was read last, which is before the first object of
theirs is made. Its value is the type itself, as ever.
"""

from __future__ import annotations

import builtins
from types import FunctionType, ModuleType

from socksify import _originals
from socksify.patches.post_import import when_imported
from socksify.patches.sockets import connect, datagrams, lifecycle, listen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from socksify.patches.journal import Journal, Replacement

# The classes whose methods are ours. The audit hook of strict allows their objects to be made.
covered: set[type] = {_originals.PythonSocket}
# The class of `socket` defines these, and no other class that stands on `_socket.socket` does.
_MARKS = ("__init__", "_real_close", "_decref_socketios", "makefile")


def cover(cls: type, journal: Journal) -> None:
    """Give a copy of socket.socket our methods, and so every object of it, until the journal is undone."""
    for module in (lifecycle, connect, listen, datagrams):
        for replacement in module.REPLACEMENTS:
            journal.set_attribute(cls, replacement.name, replacement.new)
    _mark_covered(cls, journal)


def cover_plain(cls: type, journal: Journal) -> None:
    """Do as cover() does for a class that has added nothing to `_socket.socket` but weak references."""
    for module in (connect, listen, datagrams):
        for replacement in module.REPLACEMENTS:
            if replacement.name != "accept":
                journal.set_attribute(cls, replacement.name, replacement.new)
    for name, new in (("_accept", listen.accept_fd), *lifecycle.PLAIN):
        journal.set_attribute(cls, name, new)
    _mark_covered(cls, journal)


def _mark_covered(cls: type, journal: Journal) -> None:
    """Note that the methods of a class are ours, until the journal is undone."""
    covered.add(cls)
    journal.on_undo(lambda: covered.discard(cls))


def outlive(replacements: Sequence[Replacement], journal: Journal) -> None:
    """Put the replacements into each module of the same name that is imported, until the journal is undone."""
    functions = [replacement for replacement in replacements if not isinstance(replacement.owner, type)]

    def reinstate(module: ModuleType) -> None:
        if module.__name__ == "_socket":
            cover_copies(module, journal)
        if module.__name__ == "socket" and module.socket is not _originals.PythonSocket:
            journal.set_attribute(module, "socket", _originals.PythonSocket)
        for function in functions:
            if function.owner.__name__ == module.__name__ and getattr(module, function.name) is not function.new:
                journal.set_attribute(module, function.name, function.new)

    for name in {"socket", *(function.owner.__name__ for function in functions)}:
        journal.on_undo(when_imported(name, reinstate))


def cover_copies(module: ModuleType, journal: Journal) -> None:
    """Cover every copy of socket.socket, now and later, until the journal is undone. `module` is `_socket`."""
    names: dict[str, Any] = module.__dict__
    plain: Any = type(module)

    def cover_new() -> None:
        for cls in names["socket"].__subclasses__():
            if cls not in covered and _is_copy(cls):
                cover(cls, journal)

    watching = _watching_class(plain, names, cover_new)

    def restore() -> None:
        if type(module) is watching:
            module.__class__ = plain

    cover_new()
    module.__class__ = watching
    journal.on_undo(restore)


def _watching_class(plain: Any, names: dict[str, Any], on_read: Callable[[], None]) -> Any:
    """Make a class of modules that calls `on_read()` whenever somebody reads the attribute `socket`."""

    class Module(plain):  # type: ignore[misc]
        __slots__ = ()

        @property
        def socket(self) -> Any:
            on_read()
            return names["socket"]

        @socket.setter
        def socket(self, new: Any) -> None:
            names["socket"] = new

        @socket.deleter
        def socket(self) -> None:
            del names["socket"]

    Module.__name__, Module.__qualname__, Module.__module__ = plain.__name__, plain.__qualname__, plain.__module__
    return Module


def _is_copy(cls: type) -> bool:
    names = vars(cls)
    if not all(isinstance(names.get(name), FunctionType) for name in _MARKS):
        return False
    # Up to Python 3.11 subinterpreters, which have builtins of their own, share the type in C.
    return names["makefile"].__builtins__ is vars(builtins)
