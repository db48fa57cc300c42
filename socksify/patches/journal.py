"""Replacements declare; one installer applies, and journals what was there, so that undoing leaves no trace."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_ABSENT = object()


class Rebinding:
    """What is to take the place of owner.name."""

    __slots__ = ("name", "new", "owner")

    def __init__(self, owner: Any, name: str, new: Callable[..., Any]) -> None:
        self.owner = owner
        self.name = name
        self.new = new


class Replacement(Rebinding):
    """A function with the original's signature, under its own name."""

    __slots__ = ()

    def __init__(self, owner: Any, name: str, new: Callable[..., Any]) -> None:
        super().__init__(owner, name, new)
        _disguise(new, owner, name)


class Journal:
    """Sets attributes and items, and puts everything back in the reverse order."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []

    def apply(self, replacement: Rebinding) -> None:
        """Put a replacement in place."""
        self.set_attribute(replacement.owner, replacement.name, replacement.new)

    def set_attribute(self, owner: Any, name: str, new: Any) -> None:
        """owner.name = new; undone by deleting it where it was inherited, as a socket's connect() is.

        Not undone if somebody else has put something in its place meanwhile, as gevent.monkey does.
        """
        # A class's attributes as they stand in its dict; those of a cell or a slot are in none.
        known = vars(owner) if hasattr(owner, "__dict__") else {name: getattr(owner, name)}
        old = known.get(name, _ABSENT)
        setattr(owner, name, new)
        self._undo.append(lambda: _restore(owner, name, new, old))

    def set_item(self, items: Any, key: Any, new: Any) -> None:
        """items[key] = new, in a mapping or a list; undone unless somebody else has changed it meanwhile."""
        old = items[key]
        items[key] = new
        self._undo.append(lambda: _put_back(items, key, new, old))

    def replace_member(self, members: set[Any], old: Any, new: Any) -> None:
        """One member of a set by another."""
        members.discard(old)
        members.add(new)
        self._undo += [lambda: members.add(old), lambda: members.discard(new)]

    def remove_item(self, mapping: Any, key: Any) -> None:
        """Take a key out of a mapping; undone unless somebody else has put it in meanwhile."""
        old = mapping.pop(key)
        self._undo.append(lambda: mapping.setdefault(key, old))

    def on_undo(self, call: Callable[[], object]) -> None:
        """Do something else when it is undone."""
        self._undo.append(call)

    def undo(self) -> None:
        """Put everything back."""
        while self._undo:
            self._undo.pop()()


def _restore(owner: Any, name: str, new: Any, old: Any) -> None:
    if hasattr(owner, "__dict__") and vars(owner).get(name, _ABSENT) is not new:
        return
    if old is _ABSENT:
        delattr(owner, name)
    else:
        setattr(owner, name, old)


def _put_back(items: Any, key: Any, new: Any, old: Any) -> None:
    try:
        if items[key] is new:
            items[key] = old
    except LookupError:
        pass


def _disguise(new: Callable[..., Any], owner: Any, name: str) -> None:
    """Give a function the stdlib's names: it pickles, copies and introspects like what it replaces."""
    is_module = not isinstance(owner, type)
    original = getattr(owner, name)
    new.__module__ = owner.__name__ if is_module else owner.__module__
    new.__name__ = name
    new.__qualname__ = name if is_module else f"{owner.__qualname__}.{name}"
    new.__doc__ = original.__doc__
    # The stdlib has none.
    new.__annotations__ = {}
