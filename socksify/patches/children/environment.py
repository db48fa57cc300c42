"""What a child finds in its environment: the hook's directory on PYTHONPATH, the settings in a variable.

A process that is started inside of a block of via() is given that block's settings, in an environment of its own.

With `native` proxychains4 as well, which puts itself under programs of all kinds.
"""

from __future__ import annotations

import os
import sys

from socksify import _originals
from socksify._hook_location import template
from socksify.config import environ as variables
from socksify.config import inherited
from socksify.config import via as blocks
from socksify.patches import adapters, scope
from socksify.routing import fake_addresses
from socksify.tunnel import handover

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from socksify.config.settings import Settings
    from socksify.patches.children.proxychains import Configuration
    from socksify.patches.journal import Journal

# os.environ is a view of it, whose changes are told to C; this one is not.
_view: dict[bytes, bytes] = getattr(os.environ, "_data", {})
_PASSED = os.fsencode(inherited.VARIABLE)
# It would turn the hook off.
_SWITCH = "SOCKSIFY_DISABLE"


class Shared:
    """What all children of this process are given; raises ConfigError if `native` cannot be had."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        # Lists that begin with our entry.
        self.lists = {b"PYTHONPATH": os.fsencode(template())}
        self._settings, self._environ = settings, dict(environ)
        self._names: tuple[str, ...] = ()
        self._library = adapters.library()
        passed = inherited.variables(settings, environ, library=self._library)
        self.configuration: Configuration | None = None
        if settings.native:
            from socksify.patches.children import proxychains

            self.configuration = proxychains.Configuration(settings)
            self.lists[os.fsencode(proxychains.PRELOAD)] = os.fsencode(proxychains.library())
            passed |= self.configuration.variables()
        self.variables = _encoded(passed)
        # We take them out of os.environ, for clients that cannot make use of them; a copy of it lacks them.
        self.proxies = _encoded({name: os.environ[name] for name in variables.conflicting(settings, os.environ)})

    def tell_names(self) -> None:
        """Before a child is made: it can read what it is given, and learn there what fake addresses stand for.

        It learns the targets of the connections that it inherits, too.
        """
        tables = fake_addresses.TABLE.share()
        if tables != self._names or not inherited.can_be_received():
            self._names = tables
            self.variables |= self._passing(self._settings)
            _tell_c(self)
        handover.tell()

    def here(self) -> dict[bytes, bytes]:
        """The variables for a child that is started here, maybe inside of a block."""
        way = scope.entered()
        if way is None:
            return self.variables
        return self.variables | self._passing(blocks.passed_on(scope.of(way).settings))

    def added_to(self, environ: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        """A child's environment, with it."""
        lists = {name: self.listed(name, environ.get(name, b"")) for name in self.lists}
        return {**self.proxies, **environ, **self.here(), **lists}

    def _passing(self, settings: Settings) -> dict[bytes, bytes]:
        return _encoded(inherited.variables(settings, self._environ, self._names, self._library))

    def listed(self, name: bytes, own: bytes) -> bytes:
        """A list of a child's own behind our entry; it may come from here, and have the entry already."""
        return b":".join([self.lists[name], *_without(own, self.lists[name])])


# None: children are given nothing.
shared: Shared | None = None


def share(settings: Settings, environ: Mapping[str, str], journal: Journal) -> None:
    """Give children these settings, which come from `environ`, until the journal is undone. Raises ConfigError."""
    global shared
    shared = Shared(settings, environ)
    journal.on_undo(_unshare)
    _hide(shared)
    if _SWITCH in os.environ:
        # Whoever has given this process settings in spite of it means its children, too.
        journal.remove_item(os.environ, _SWITCH)
    _tell_c(shared)


def after_fork() -> None:
    """In the child: its own children read what is in memory from it, whatever becomes of its parent."""
    if shared is not None and shared.configuration is not None:
        shared.variables |= _encoded(shared.configuration.variables())
        _tell_c(shared)


def leave_behind(stays: bool) -> None:
    """Before execve(2): what is in memory stays for the program that takes this one's place; not, if that fails."""
    fake_addresses.TABLE.keep_over_exec(stays)
    if shared is not None and shared.configuration is not None:
        shared.configuration.stay(stays)


def given(environ: Mapping[bytes, bytes] | None) -> Mapping[bytes, bytes] | None:
    """The environment that a child is to have; None stands for that of C, where all is already, but no block's."""
    if shared is None or (environ is None and scope.entered() is None):
        return environ
    return shared.added_to(_view if environ is None else environ)


def _tell_c(shared: Shared) -> None:
    for name, value in shared.variables.items():
        _originals.putenv(name, value)
    for name in shared.lists:
        _originals.putenv(name, shared.listed(name, _view.get(name, b"")))


def _unshare() -> None:
    global shared
    if shared is None:
        return
    for name in (*shared.variables, *shared.lists):
        # What os.environ says holds again.
        if name in _view:
            _originals.putenv(name, _view[name])
        else:
            _originals.unsetenv(name)
    if shared.configuration is not None:
        shared.configuration.close()
    fake_addresses.TABLE.stop_sharing()
    shared = None


def _hide(shared: Shared) -> None:
    """In a child: what was put into its environment for us is none of the program's."""
    # A parent's may have been more.
    for name in [name for name in _view if name in shared.variables or name.startswith(_PASSED)]:
        del _view[name]
    for name, entry in shared.lists.items():
        left = _without(_view.get(name, b""), entry)
        if left:
            _view[name] = b":".join(left)
        else:
            _view.pop(name, None)
    if template() in sys.path:
        sys.path.remove(template())


def _encoded(environ: Mapping[str, str]) -> dict[bytes, bytes]:
    """Variables as C has them."""
    return {os.fsencode(name): os.fsencode(value) for name, value in environ.items()}


def _without(entries: bytes, unwanted: bytes) -> list[bytes]:
    return [entry for entry in entries.split(b":") if entry != unwanted] if entries else []
