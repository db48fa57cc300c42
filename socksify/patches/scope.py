"""The scope of a call: the router and the look-ups that are in force for the call.

Outside of every `via()` block the installed scope is in force. A `via()` block belongs to the context (PEP 567) that
has entered it: to a thread, or to a task and the tasks that it starts inside. The context stores the nested blocks that
were entered. It does not store their routers, because the installed settings may be replaced or removed in between.
"""

from __future__ import annotations

from _contextvars import ContextVar

from socksify.config import settings as config
from socksify.config.errors import ConfigError
from socksify.routing.lookups import Lookups
from socksify.routing.router import Router

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.config.settings import Settings

    # The arguments of via(): the VIAs, and how to isolate connections (None: as outside of the block).
    Way = tuple[tuple[str, ...], str | None]


class Scope:
    """Decides by one Settings. The scopes of via() blocks are made once for each set of arguments, and kept."""

    __slots__ = ("_inside", "lookups", "router")

    # The largest number of scopes that are kept. Each scope caches thousands of answers.
    _MEMORY = 256

    def __init__(self, settings: Settings) -> None:
        self.router = Router(settings)
        self.lookups = Lookups(self.router)
        self._inside: dict[Way, Scope] = {}

    @property
    def settings(self) -> Settings:
        """The settings by which this scope decides."""
        return self.router.settings

    def within(self, way: Way) -> Scope:
        """Return the scope of a via(). If these settings do not know its proxy, that scope refuses everything."""
        found = self._inside.get(way)
        if found is None:
            try:
                found = self.enter(way)
            except ConfigError as error:
                found = self._keep(way, config.refused(self.settings, error))
        return found

    def enter(self, way: Way) -> Scope:
        """Return the scope of a via(). Raises ConfigError if these settings do not know its proxy."""
        return self._inside.get(way) or self._keep(way, config.scoped(self.settings, *way))

    def _keep(self, way: Way, settings: Settings) -> Scope:
        if len(self._inside) >= self._MEMORY:
            self._inside.clear()
        kept = self._inside[way] = Scope(settings)
        return kept


class Unrouted(Scope):
    """The scope after uninstall(): everything is direct, inside a via() as well."""

    __slots__ = ()

    def within(self, way: Way) -> Scope:  # noqa: ARG002
        return self


class InstalledScope:
    """Holds the scope that is in force outside of every via()."""

    __slots__ = ("scope",)

    # None before the first install(). At that time no replacement is in place, so no code reads it.
    scope: Scope

    def __init__(self) -> None:
        self.scope = None  # type: ignore[assignment]

    @property
    def is_known(self) -> bool:
        """False before the first install()."""
        return self.scope is not None

    def replace(self, scope: Scope) -> None:
        """Put another scope in force."""
        self.scope = scope


installed = InstalledScope()


class Entry:
    """A via() block that was entered: the object that entered it, its arguments, and the block around it."""

    __slots__ = ("outer", "owner", "way")

    def __init__(self, owner: object, way: Way | None, outer: Entry | None) -> None:
        self.owner = owner
        self.way = way
        self.outer = outer


_entries: ContextVar[Entry | None] = ContextVar("socksify.scope", default=None)


def current() -> Scope:
    """Return the scope that is in force in this context."""
    entry = _entries.get()
    return installed.scope if entry is None or entry.way is None else installed.scope.within(entry.way)


def entered() -> Way | None:
    """Return the arguments of the innermost via() of this context, which `of()` takes in another context."""
    entry = _entries.get()
    return None if entry is None else entry.way


def of(way: Way | None) -> Scope:
    """Return the scope of a via() that was entered in another context; None means the installed scope."""
    return installed.scope if way is None else installed.scope.within(way)


def enter(owner: object, way: Way | None) -> None:
    """Enter a block in this context. `owner` is given to leave(); the way None means the installed scope."""
    _entries.set(Entry(owner, way, _entries.get()))


def leave(owner: object) -> None:
    """Leave the block that `owner` has entered last, and every block inside of it that was not left.

    Nothing happens in a context that has not entered the block: a generator may be closed in a context other than the
    context in which it was started.
    """
    entry = _entries.get()
    while entry is not None and entry.owner is not owner:
        entry = entry.outer
    if entry is not None:
        _entries.set(entry.outer)
