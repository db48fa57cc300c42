"""SubclassSwap: gives single objects other methods for a while, by moving them to a subclass of their own class.

`send` and `recv` are never patched on `socket.socket`. If an object needs a check before its methods, the methods of
the subclass make this check. The subclass is made when the first object of a class needs it. It has the name and the
module of the object's own class, so the client sees no difference.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Members = dict[str, Callable[..., Any]]


class SubclassSwap:
    """Swaps the classes of objects.

    `members` is a function. It takes the class of an object and returns the methods of the subclass, by their names.
    """

    def __init__(self, members: Callable[[type], Members]) -> None:
        self._members = members
        # An object's own class -> the subclass, and the other way round.
        self._made: dict[type, type] = {}
        self._own: dict[type, type] = {}

    def apply(self, thing: object) -> None:
        """Move an object to the subclass. Do nothing if the object is there already."""
        cls = type(thing)
        if cls not in self._own:
            thing.__class__ = self._made.get(cls) or self._make(cls)

    def restore(self, thing: object) -> None:
        """Return an object to its own class. Do nothing if the object has this class already."""
        own = self._own.get(type(thing))
        if own is not None:
            thing.__class__ = own

    def own_class(self, thing: object) -> type:
        """Return the class that an object has outside of a swap."""
        return self._own.get(type(thing), type(thing))

    def _make(self, cls: type) -> type:
        members = self._members(cls)
        for name, method in members.items():
            method.__name__ = name
            method.__qualname__ = f"{cls.__qualname__}.{name}"
            method.__module__ = cls.__module__
        names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
        # The client's metaclass and __init_subclass__() are not called, because the client has not made this subclass.
        made = type.__new__(type(cls), cls.__name__, (_Unannounced, cls), {"__slots__": (), **names, **members})
        self._own[made] = cls
        self._made[cls] = made
        return made


class _Unannounced:
    """Stops type.__new__() from calling the __init_subclass__() of the client's class."""

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        pass
