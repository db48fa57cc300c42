"""Frozen records: a class of named fields with equality, hash and repr, for next to nothing at start-up.

`dataclasses` would bring `inspect` and with it twenty more modules into every client that starts under
socksify; a type checker reads these classes as frozen dataclasses all the same.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, dataclass_transform
else:

    def dataclass_transform(**_: object):
        return lambda cls: cls


@dataclass_transform(frozen_default=True)
class Record:
    """Base of the frozen records: fields are the class's annotations, defaults its class attributes.

    Positional or keyword construction, `==`, `hash()`, `repr()`, `copy` and `pickle` work; assignment raises
    AttributeError. A field whose name is in `hidden` is shown in the repr as `***` when it is set.
    """

    _fields: tuple[str, ...] = ()
    _hidden: frozenset[str] = frozenset()

    def __init_subclass__(cls, hidden: tuple[str, ...] = ()) -> None:
        own = tuple(name for name in cls.__annotations__ if name not in cls._fields)
        cls._fields = cls._fields + own
        cls._hidden = cls._hidden | frozenset(hidden)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if len(args) > len(self._fields):
            raise TypeError(f"{type(self).__name__} takes {len(self._fields)} fields, got {len(args)}")
        given = dict(zip(self._fields, args, strict=False))
        twice = given.keys() & kwargs.keys()
        unknown = kwargs.keys() - set(self._fields)
        if twice or unknown:
            raise TypeError(f"{type(self).__name__}: field given twice or unknown: {sorted(twice | unknown)}")
        given.update(kwargs)
        missing = [name for name in self._fields if name not in given and not hasattr(type(self), name)]
        if missing:
            raise TypeError(f"{type(self).__name__} lacks {', '.join(missing)}")
        self.__dict__.update(given)

    def replace(self, **changes: Any) -> Any:
        """A copy with some fields changed."""
        return type(self)(**{name: getattr(self, name) for name in self._fields} | changes)

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self._fields)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} is read-only")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__}.{name} is read-only")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def __repr__(self) -> str:
        shown = (
            f"{name}={'***' if name in self._hidden and value is not None else repr(value)}"
            for name, value in zip(self._fields, self._values(), strict=True)
        )
        return f"{type(self).__name__}({', '.join(shown)})"
