"""Objects whose methods are others for a while: they are moved to a subclass that looks like their own class.

`send` and `recv` are never patched on `socket.socket`; what has to stand in front of them on one object stands in
such a subclass, made when it is first needed.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Members = dict[str, Callable[..., Any]]


class Disguise:
    """One way of standing in front of objects: `members` tells which methods a class's objects get meanwhile."""

    def __init__(self, members: Callable[[type], Members]) -> None:
        self._members = members
        self._disguised: dict[type, type] = {}
        # Made class -> the class that it stands in for.
        self._plain: dict[type, type] = {}

    def put_on(self, thing: object) -> None:
        """Move an object to the subclass, unless it is there."""
        cls = type(thing)
        if cls not in self._plain:
            thing.__class__ = self._disguised.get(cls) or self._make(cls)

    def take_off(self, thing: object) -> None:
        """Give an object back its own class."""
        plain = self._plain.get(type(thing))
        if plain is not None:
            thing.__class__ = plain

    def plain(self, thing: object) -> type:
        """An object's own class."""
        return self._plain.get(type(thing), type(thing))

    def _make(self, cls: type) -> type:
        members = self._members(cls)
        for name, method in members.items():
            method.__name__ = name
            method.__qualname__ = f"{cls.__qualname__}.{name}"
            method.__module__ = cls.__module__
        names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
        # No subclass of the client's making: neither its metaclass nor its __init_subclass__() is to hear of it.
        made = type.__new__(type(cls), cls.__name__, (_Unheard, cls), {"__slots__": (), **names, **members})
        self._plain[made] = cls
        self._disguised[cls] = made
        return made


class _Unheard:
    __slots__ = ()

    def __init_subclass__(cls) -> None:
        pass
