"""The scope: which router and which look-ups are in force where a call is made.

Outside of any `via()` that is the installed one. A block of `via()` belongs to the context (PEP 567) that entered it:
to a thread, or a task with those that it starts there. The context holds what was entered, one inside the other, and
not the routers made of it: these follow the installed settings, which may be replaced, or taken away, meanwhile.
"""

from __future__ import annotations

from _contextvars import ContextVar

from socksify.config import via as config
from socksify.config.settings import ConfigError
from socksify.routing.lookups import Lookups
from socksify.routing.router import Router

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.config.settings import Settings

    # What via() was given: the VIAs, and how to isolate; None outside.
    Way = tuple[tuple[str, ...], str | None]


class Scope:
    """Decides by one Settings; `within()` are the scopes inside it, made once and kept."""

    __slots__ = ("_inside", "lookups", "router")

    # As many are kept: each remembers thousands of answers.
    _MEMORY = 256

    def __init__(self, settings: Settings) -> None:
        self.router = Router(settings)
        self.lookups = Lookups(self.router)
        self._inside: dict[Way, Scope] = {}

    @property
    def settings(self) -> Settings:
        """Those that are in force."""
        return self.router.settings

    def within(self, way: Way) -> Scope:
        """The scope of a via(); where that has lost its meaning by other settings, nothing goes out."""
        found = self._inside.get(way)
        if found is None:
            try:
                found = self.enter(way)
            except ConfigError as error:
                found = self._keep(way, config.refused(self.settings, error))
        return found

    def enter(self, way: Way) -> Scope:
        """The same, for who enters it: raises ConfigError for what is not configured."""
        return self._inside.get(way) or self._keep(way, config.scoped(self.settings, *way))

    def _keep(self, way: Way, settings: Settings) -> Scope:
        if len(self._inside) >= self._MEMORY:
            self._inside.clear()
        kept = self._inside[way] = Scope(settings)
        return kept


class Unrouted(Scope):
    """After uninstall(): everything is direct, inside a via() as well."""

    __slots__ = ()

    def within(self, way: Way) -> Scope:  # noqa: ARG002
        return self


# Set by install(), before the first replacement is in place.
installed: Scope = None  # type: ignore[assignment]


class Entry:
    """A block that was entered: by which object, where it leads, and what it lies in."""

    __slots__ = ("outer", "owner", "way")

    def __init__(self, owner: object, way: Way | None, outer: Entry | None) -> None:
        self.owner = owner
        self.way = way
        self.outer = outer


_entries: ContextVar[Entry | None] = ContextVar("socksify.scope", default=None)


def current() -> Scope:
    """The scope that is in force here."""
    entry = _entries.get()
    return installed if entry is None or entry.way is None else installed.within(entry.way)


def entered() -> Way | None:
    """The innermost via() here, to be given to `of` elsewhere."""
    entry = _entries.get()
    return None if entry is None else entry.way


def of(way: Way | None) -> Scope:
    """The scope of a via() that was entered elsewhere."""
    return installed if way is None else installed.within(way)


def enter(owner: object, way: Way | None) -> None:
    """From now on this context goes that way, with None the installed one."""
    _entries.set(Entry(owner, way, _entries.get()))


def leave(owner: object) -> None:
    """Leave what `owner` entered last, and whatever was entered inside of it and not left.

    A generator may be closed in another context than the one that it was begun in, which knows nothing of it.
    """
    entry = _entries.get()
    while entry is not None and entry.owner is not owner:
        entry = entry.outer
    if entry is not None:
        _entries.set(entry.outer)
