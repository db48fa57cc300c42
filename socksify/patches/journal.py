"""Replacements, and the journal of the values that they have replaced.

A module declares its replacements. The journal puts them in place and stores the old values, so that undo() restores
every value.
"""

from __future__ import annotations

import gc
from types import GetSetDescriptorType, MemberDescriptorType, MethodType, ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_ABSENT = object()
# Py_TPFLAGS_IMMUTABLETYPE of Include/object.h. The types of `select` and `_socket` have it from Python 3.15 on.
_IMMUTABLE_TYPE = 1 << 8


class Rebinding:
    """The value `new`, which replaces `owner.name`."""

    __slots__ = ("name", "new", "owner")

    def __init__(self, owner: Any, name: str, new: Callable[..., Any]) -> None:
        self.owner = owner
        self.name = name
        self.new = new


class Replacement(Rebinding):
    """A function that replaces `owner.name`, with the signature and the name of the original.

    A method of a type is replaced by the function itself. A function of a module is written in C: it does not become a
    method when a program stores it in a class. A Python function would become a method. A bound method does not, and it
    is called as fast as a function. Therefore `new` has the module as its first parameter, as functions in C have, and
    is bound to the module.
    """

    __slots__ = ()

    def __init__(self, owner: Any, name: str, new: Callable[..., Any]) -> None:
        _imitate(new, owner, name)
        if not isinstance(owner, type):
            # The functions of os belong to the module posix.
            new = MethodType(new, _module(getattr(getattr(owner, name), "__self__", owner)))
        super().__init__(owner, name, new)


class _Module(ModuleType):
    """The `__self__` of a replaced function. It has the attributes of the module, and pickles as an import of it."""

    def __init__(self, module: ModuleType) -> None:
        super().__init__(module.__name__, module.__doc__)
        self.__spec__ = module.__spec__
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def __dir__(self) -> list[str]:
        return dir(self._module)

    def __reduce__(self) -> tuple[Any, ...]:
        return __import__, (self.__name__,)

    def __copy__(self) -> _Module:
        return self

    def __deepcopy__(self, _: object) -> _Module:
        return self


_modules: dict[str, _Module] = {}


def _module(module: ModuleType) -> _Module:
    return _modules.setdefault(module.__name__, _Module(module))


def stands_for_function(value: Any) -> bool:
    """Return True if a value is a replacement of a function in C."""
    return type(value) is MethodType and type(value.__self__) is _Module


class Journal:
    """Sets attributes and items, and puts everything back in the reverse order."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []

    def apply(self, replacement: Rebinding) -> None:
        """Put a replacement in place."""
        self.set_attribute(replacement.owner, replacement.name, replacement.new)

    def set_attribute(self, owner: Any, name: str, new: Any) -> None:
        """Set owner.name to `new`. If the attribute was inherited, as a socket's connect() is, undoing deletes it.

        The change is not undone if other code has set the attribute in between, as gevent.monkey does.
        """
        old = _held(owner, name)
        # The undo is noted first, so that an assignment that fails half-way is undone, too.
        self._undo.append(lambda: _restore(owner, name, new, old))
        _set(owner, name, new)

    def set_item(self, items: Any, key: Any, new: Any) -> None:
        """Set items[key] to `new`, in a mapping or a list. Nothing happens if another thread has removed the key.

        The change is not undone if other code has set the item in between.
        """
        try:
            old = items[key]
        except LookupError:
            return
        items[key] = new
        self._undo.append(lambda: _put_back(items, key, new, old))

    def replace_member(self, members: set[Any], old: Any, new: Any) -> None:
        """Replace one member of a set by another."""
        members.discard(old)
        members.add(new)
        self._undo += [lambda: members.add(old), lambda: members.discard(new)]

    def remove_item(self, mapping: Any, key: Any) -> None:
        """Remove a key from a mapping. The change is not undone if other code has set the key in between."""
        old = mapping.pop(key)
        self._undo.append(lambda: mapping.setdefault(key, old))

    def on_undo(self, call: Callable[[], object]) -> None:
        """Make undo() call `call()`, at its place in the reverse order."""
        self._undo.append(call)

    def undo(self) -> None:
        """Put everything back."""
        while self._undo:
            self._undo.pop()()


def _held(owner: Any, name: str) -> Any:
    """Return an object's own attribute, from its dict, its slot or its cell; _ABSENT if there is none."""
    own = getattr(owner, "__dict__", {})
    if name not in own and isinstance(getattr(type(owner), name, None), (MemberDescriptorType, GetSetDescriptorType)):
        try:
            return getattr(owner, name)
        except (AttributeError, ValueError):  # an empty slot, an empty cell
            return _ABSENT
    return own.get(name, _ABSENT)


def _restore(owner: Any, name: str, new: Any, old: Any) -> None:
    if _held(owner, name) is new:
        _set(owner, name, old)


def _set(owner: Any, name: str, value: Any) -> None:
    """Set owner.name to a value, or delete it if the value is _ABSENT."""
    if isinstance(owner, type) and owner.__flags__ & _IMMUTABLE_TYPE:
        _set_in_immutable(owner, name, value)
    elif value is _ABSENT:
        delattr(owner, name)
    else:
        setattr(owner, name, value)


def _set_in_immutable(cls: type, name: str, value: Any) -> None:
    """Set or delete an attribute of a type whose attributes Python code cannot set.

    `__dict__` of the type is a read-only view, which refers to the dict itself. The interpreter caches attributes of
    types until PyType_Modified() is called. Python code can call that function without side effects only by setting and
    deleting `__abstractmethods__` through the descriptor of `type`. (ctypes could call it directly, but keeps a
    file descriptor open once it is imported.) Special methods are refused, because the C structure of the type has them
    as well, and this function does not change that structure.
    """
    found = gc.get_referents(cls.__dict__)
    if name.startswith("__") or len(found) != 1 or type(found[0]) is not dict:
        raise TypeError(f"cannot set {name!r} of {cls!r}: this Python hides its dict")
    attributes: dict[str, Any] = found[0]
    if value is _ABSENT:
        del attributes[name]
    else:
        attributes[name] = value
    abstract = vars(type)["__abstractmethods__"]
    abstract.__set__(cls, ())
    abstract.__delete__(cls)
    if value is not _ABSENT and getattr(cls, name) is not value:
        raise TypeError(f"cannot set {name!r} of {cls!r}: this Python has not noticed it")


def _put_back(items: Any, key: Any, new: Any, old: Any) -> None:
    try:
        if items[key] is new:
            items[key] = old
    except LookupError:
        pass


def _imitate(new: Callable[..., Any], owner: Any, name: str) -> None:
    """Give a function the names of its original, so that pickle, copy and inspect treat both alike."""
    is_module = not isinstance(owner, type)
    original = getattr(owner, name)
    new.__module__ = original.__module__ if is_module else owner.__module__
    new.__name__ = name
    new.__qualname__ = name if is_module else f"{owner.__qualname__}.{name}"
    new.__doc__ = original.__doc__
    text = getattr(original, "__text_signature__", None)
    # inspect reads the text from a Python function, too. It looks up names of the text in the function's own module
    # only, where the names of epoll.register() mean something else.
    if is_module or (text is not None and "." not in text):
        vars(new)["__text_signature__"] = text
    # Functions of the stdlib have no annotations.
    new.__annotations__ = {}
