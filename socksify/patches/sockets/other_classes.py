"""Other socket classes than socket.socket: the classes of libraries, and of other copies of the module `socket`.

gevent has its own class, and eventlet has a copy of socket.socket. Such a class inherits from `_socket.socket` as
socket.socket does, so it gets the same methods.

The module `socket` may be imported a second time: by importlib.reload(), by runpy, by module_from_spec(), by a special
loader, by exec() of its source. Tools that unload the modules which they imported at the start (ddtrace) import it
again. A second module of the same name gets our functions and the class of the existing sockets. A copy with another
name keeps its own subclass of `_socket.socket`, and CPython reports no new subclass of a type in C. But the methods of
such a class, first of all __init__(), read the attribute `socket` of the module `_socket`. Therefore this attribute is
a property while connections are routed. Each read covers the classes that were made since the last read, before the
first object of such a class is made. The value of the property is the same type as before.
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
# The class of `socket` defines these methods. No other subclass of `_socket.socket` defines all of them.
_MARKS = ("__init__", "_real_close", "_decref_socketios", "makefile")


def cover(cls: type, journal: Journal) -> None:
    """Give a copy of socket.socket, and thereby all its objects, our methods until the journal is undone."""
    for module in (lifecycle, connect, listen, datagrams):
        for replacement in module.REPLACEMENTS:
            journal.set_attribute(cls, replacement.name, replacement.new)
    _mark_covered(cls, journal)


def cover_plain(cls: type, journal: Journal) -> None:
    """Do as cover() does, for a class that adds only weak references to `_socket.socket`."""
    for module in (connect, listen, datagrams):
        for replacement in module.REPLACEMENTS:
            if replacement.name != "accept":
                journal.set_attribute(cls, replacement.name, replacement.new)
    for name, new in (("_accept", listen.accept_fd), *lifecycle.PLAIN):
        journal.set_attribute(cls, name, new)
    _mark_covered(cls, journal)


def _mark_covered(cls: type, journal: Journal) -> None:
    """Note until the journal is undone that a class has our methods."""
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
    """Make a class of modules that calls `on_read()` whenever the attribute `socket` is read."""

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
    # Up to Python 3.11 subinterpreters, which have their own builtins, share the type in C.
    return names["makefile"].__builtins__ is vars(builtins)
