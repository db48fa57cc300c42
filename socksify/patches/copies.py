"""Copies of the module `socket`: by runpy, by module_from_spec(), by a loader of its own, by exec() of its source.

Each has a class of its own on `_socket.socket`, whose methods nobody has patched. CPython tells nobody of a new
subclass of a type in C. But the methods of such a class ask the module `_socket` for its `socket`, its __init__()
first of all. So while we route, that is a property, which covers the classes that have come since it was read last:
before the first object of theirs is made. What the property gives is the type itself, as ever.
"""

from __future__ import annotations

import builtins
from types import FunctionType, ModuleType

from socksify.patches import covering

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from socksify.patches.journal import Journal

# What the class has that `socket` defines, and no other class that stands on `_socket.socket`.
_MARKS = ("__init__", "_real_close", "_decref_socketios", "makefile")


def cover_copies(module: ModuleType, journal: Journal) -> None:
    """Cover every copy that there is, or that comes, of the class on this `_socket`, until the journal is undone."""

    names: dict[str, Any] = module.__dict__
    plain: Any = type(module)

    def cover_new() -> None:
        for cls in names["socket"].__subclasses__():
            if cls not in covering.covered and _is_copy(cls):
                covering.cover(cls, journal)

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
