"""Frozen records: classes of named fields with equality, hash and repr, at a low cost at start-up.

`dataclasses` would import `inspect`, and with it twenty more modules, into every client that starts under socksify. A
type checker still reads these classes as frozen dataclasses.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, dataclass_transform
else:

    def dataclass_transform(**_: object):
        return lambda cls: cls


def _initialiser(cls: type[Record]) -> Any:
    """Return `def __init__(self, field, field=default, ...)`, which sets each field once."""
    fields = cls._fields
    defaults = {f"_{name}": getattr(cls, name) for name in fields if hasattr(cls, name)}
    parameters = ", ".join(f"{name}=_{name}" if f"_{name}" in defaults else name for name in fields)
    body = "\n".join(f"    put(self, {name!r}, {name})" for name in fields) or "    pass"
    namespace = {"put": object.__setattr__, **defaults}
    exec(f"def __init__(self, {parameters}):\n{body}", namespace)
    return namespace["__init__"]


@dataclass_transform(frozen_default=True)
class Record:
    """Base of the frozen records. The fields are the annotations of the class, the defaults its class attributes.

    Construction by position or keyword, `==`, `hash()`, `repr()`, `copy` and `pickle` work. Assignment raises
    AttributeError. The repr shows `***` for a field in `hidden` that is set.
    """

    _fields: tuple[str, ...] = ()
    _hidden: frozenset[str] = frozenset()

    def __init_subclass__(cls, hidden: tuple[str, ...] = ()) -> None:
        own = tuple(name for name in cls.__annotations__ if name not in cls._fields)
        cls._fields = cls._fields + own
        cls._hidden = cls._hidden | frozenset(hidden)
        if own:
            cls.__init__ = Record.__init__  # type: ignore[method-assign]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Each class gets its own initialiser at its first use. It takes a third of the time of a general initialiser.
        cls = type(self)
        cls.__init__ = _initialiser(cls)  # type: ignore[method-assign]
        cls.__init__(self, *args, **kwargs)

    def replace(self, **changes: Any) -> Any:
        """Return a copy with some fields changed."""
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
