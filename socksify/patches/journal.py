"""Replacements declare; one installer applies, and journals what was there, so that undoing leaves no trace."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_ABSENT = object()


class Replacement:
    """What is to take the place of owner.name: a function with the original's signature, under its own name."""

    __slots__ = ("name", "new", "owner")

    def __init__(self, owner: Any, name: str, new: Callable[..., Any]) -> None:
        self.owner = owner
        self.name = name
        self.new = new
        _disguise(new, owner, name)


class Journal:
    """Sets attributes and items, and puts everything back in the reverse order."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []

    def apply(self, replacement: Replacement) -> None:
        """Put a replacement in place."""
        self.set_attribute(replacement.owner, replacement.name, replacement.new)

    def set_attribute(self, owner: Any, name: str, new: Any) -> None:
        """owner.name = new; undone by deleting it where it was inherited, as a socket's connect() is."""
        old = vars(owner).get(name, _ABSENT)
        setattr(owner, name, new)
        if old is _ABSENT:
            self._undo.append(lambda: delattr(owner, name))
        else:
            self._undo.append(lambda: setattr(owner, name, old))

    def set_item(self, mapping: dict[Any, Any], key: Any, new: Any) -> None:
        """mapping[key] = new."""
        old = mapping[key]
        mapping[key] = new
        self._undo.append(lambda: mapping.__setitem__(key, old))

    def remove_item(self, mapping: Any, key: Any) -> None:
        """Take a key out of a mapping."""
        old = mapping.pop(key)
        self._undo.append(lambda: mapping.__setitem__(key, old))

    def on_undo(self, call: Callable[[], object]) -> None:
        """Do something else when it is undone."""
        self._undo.append(call)

    def undo(self) -> None:
        """Put everything back."""
        while self._undo:
            self._undo.pop()()


def _disguise(new: Callable[..., Any], owner: Any, name: str) -> None:
    """Give a function the stdlib's names: it pickles, copies and introspects like what it replaces."""
    is_module = not isinstance(owner, type)
    new.__module__ = owner.__name__ if is_module else owner.__module__
    new.__name__ = name
    new.__qualname__ = name if is_module else f"{owner.__qualname__}.{name}"
    if new.__doc__ is None:
        new.__doc__ = getattr(owner, name).__doc__
