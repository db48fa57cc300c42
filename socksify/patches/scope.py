"""The scope of a call: the router and the look-ups that are in force for the call.

Outside of every `via()` block the installed scope is in force. A `via()` block belongs to the context (PEP 567) that
has entered it: to a thread, or to a task and the tasks that it starts inside. The context stores the nested blocks that
were entered. It does not store their routers, because the installed settings may be replaced or removed in between.

In a sealed process, the supervisor of the seal decides about every connection once more. So it is told the settings of
each scope, before the first connection by these settings.
"""

from __future__ import annotations

from _contextvars import ContextVar
from errno import ENOSPC, ENOSYS, ESTALE

from socksify import _supervision
from socksify._signal_safety import ours
from socksify.config import inherited
from socksify.config import settings as config
from socksify.config.errors import ConfigError
from socksify.routing import fake_addresses
from socksify.routing.lookups import Lookups
from socksify.routing.router import Router

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket as Socket

    from socksify.config.settings import Settings

    # The arguments of via(): the VIAs, and how to isolate connections (None: as outside of the block).
    Way = tuple[tuple[str, ...], str | None]


class Scope:
    """Decides by one Settings. The scopes of via() blocks are made once for each set of arguments, and kept."""

    __slots__ = ("_inside", "_number", "_registered", "lookups", "router")

    # The largest number of scopes that are kept. Each scope caches thousands of answers.
    _MEMORY = 256

    def __init__(self, settings: Settings) -> None:
        self.router = Router(settings)
        self.lookups = Lookups(self.router)
        self._inside: dict[Way, Scope] = {}
        # In a sealed process: the settings as the supervisor gets them, and its number for them.
        self._registered = b""
        self._number = 0

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

    def register(self) -> int:
        """In a sealed process, tell the supervisor these settings, and return its number for them.

        The number is 0 for the settings of the seal, and in a process that is not sealed. Raises the errors of
        `_supervision.register`. If the supervisor has ended, nothing is raised: no connection is made any more.
        """
        if fake_addresses.TABLE.is_supervised and (self._number or not self._registered):
            self._registered = self._registered or inherited.encoded(config.passed_on(self.settings))
            try:
                self._number = _supervision.register(self._registered)
            except ours(OSError) as error:
                if error.errno == ENOSPC:
                    raise OSError(ENOSPC, "too many different proxies were used in this sealed process tree") from None
                if error.errno != ENOSYS:
                    raise
        return self._number

    def claim(self, sock: Socket) -> None:
        """In a sealed process, let the supervisor route the next connection of a socket by these settings.

        Raises OSError.
        """
        if not fake_addresses.TABLE.is_supervised or not (self._number or installed.number):
            return
        try:
            _supervision.put_in_scope(sock, self._number)
        except ours(OSError) as error:
            if error.errno != ESTALE:
                raise
            _supervision.put_in_scope(sock, self.register())

    def _keep(self, way: Way, settings: Settings) -> Scope:
        if len(self._inside) >= self._MEMORY:
            self._inside.clear()
        kept = Scope(settings)
        kept.register()
        self._inside[way] = kept
        return kept


class Unrouted(Scope):
    """The scope after uninstall(): everything is direct, inside a via() as well."""

    __slots__ = ()

    def within(self, way: Way) -> Scope:  # noqa: ARG002
        return self


class InstalledScope:
    """Holds the scope that is in force outside of every via()."""

    __slots__ = ("number", "scope")

    # None before the first install(). At that time no replacement is in place, so no code reads it.
    scope: Scope

    def __init__(self) -> None:
        self.scope = None  # type: ignore[assignment]
        # The number of a scope with which this process was started, where the supervisor of a seal finds it.
        self.number = ""

    @property
    def is_known(self) -> bool:
        """False before the first install()."""
        return self.scope is not None

    def replace(self, scope: Scope) -> None:
        """Put another scope in force."""
        self.scope = scope

    def started_with(self, number: str) -> None:
        """Note the number of a scope that is in the environment of this process."""
        self.number = number


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
