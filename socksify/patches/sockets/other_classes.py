"""Puts our methods on other classes of sockets: gevent has one beside socket.socket, eventlet a copy of that.

They stand on `_socket.socket` as socket.socket does, so what is said of that holds for them.
"""

from __future__ import annotations

import builtins
from types import FunctionType, ModuleType

from socksify import _originals
from socksify.patches.post_import import when_imported
from socksify.patches.sockets import connect, datagrams, lifecycle, listen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Any

    from socksify.patches.journal import Journal, Replacement

# The classes of sockets whose methods are ours; strict's audit hook lets them be made.
covered: set[type] = {_originals.PythonSocket}


def cover(cls: type, journal: Journal) -> None:
    """Have a copy of socket.socket go by the rules, and every object of it that exists, until the journal is undone."""
    for module in (lifecycle, connect, listen, datagrams):
        for replacement in module.REPLACEMENTS:
            journal.set_attribute(cls, replacement.name, replacement.new)
    admit(cls, journal)


def cover_plain(cls: type, journal: Journal) -> None:
    """As cover(), for a class that has added nothing to `_socket.socket` but weak references."""
    for module in (connect, listen, datagrams):
        for replacement in module.REPLACEMENTS:
            if replacement.name != "accept":
                journal.set_attribute(cls, replacement.name, replacement.new)
    for name, new in (("_accept", listen.accept_fd), *lifecycle.PLAIN):
        journal.set_attribute(cls, name, new)
    admit(cls, journal)


def admit(cls: type, journal: Journal) -> None:
    covered.add(cls)
    journal.on_undo(lambda: covered.discard(cls))


# Copies of the module `socket`: by runpy, by module_from_spec(), by a loader of its own, by exec() of its source.
#
# Each has a class of its own on `_socket.socket`, whose methods nobody has patched. CPython tells nobody of a new
# subclass of a type in C. But the methods of such a class ask the module `_socket` for its `socket`, its __init__()
# first of all. So while we route, that is a property, which covers the classes that have come since it was read last:
# before the first object of theirs is made. What the property gives is the type itself, as ever.


# What the class has that `socket` defines, and no other class that stands on `_socket.socket`.
_MARKS = ("__init__", "_real_close", "_decref_socketios", "makefile")


def cover_copies(module: ModuleType, journal: Journal) -> None:
    """Cover every copy that there is, or that comes, of the class on this `_socket`, until the journal is undone."""

    names: dict[str, Any] = module.__dict__
    plain: Any = type(module)

    def cover_new() -> None:
        for cls in names["socket"].__subclasses__():
            if cls not in covered and _is_copy(cls):
                cover(cls, journal)

    class Module(plain):  # type: ignore[misc]
        __slots__ = ()

        @property
        def socket(self) -> Any:
            cover_new()
            return names["socket"]

        @socket.setter
        def socket(self, new: Any) -> None:
            names["socket"] = new

        @socket.deleter
        def socket(self) -> None:
            del names["socket"]

    def give_back() -> None:
        if type(module) is Module:
            module.__class__ = plain

    Module.__name__, Module.__qualname__, Module.__module__ = plain.__name__, plain.__qualname__, plain.__module__
    cover_new()
    module.__class__ = Module
    journal.on_undo(give_back)


def _is_copy(cls: type) -> bool:
    names = vars(cls)
    if not all(isinstance(names.get(name), FunctionType) for name in _MARKS):
        return False
    # Up to Python 3.11 subinterpreters, which have builtins of their own, share the type in C.
    return names["makefile"].__builtins__ is vars(builtins)


# importlib.reload(socket), or a second import of it, makes a class and functions that nobody has patched.
#
# copies.py sees to the copies of it that do not take its name.
#
# Tools that unload what they imported at the start (ddtrace) have it imported again. Ours take their places; the class
# stays the one that every socket so far, ssl's and subclasses are of.


def outlive(replacements: Sequence[Replacement], journal: Journal) -> None:
    """Have these in force in each module of the same name that comes, until the journal is undone."""
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
