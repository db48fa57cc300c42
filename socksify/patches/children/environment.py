"""The environment of children: the hook's directory on PYTHONPATH, and the settings in a variable.

Both variables are in the environment of C, which fork and exec, system(3) and code in C pass on. `os.environ` belongs
to the program and does not show them. If a child is given an environment of its own, or is started inside a block of
via(), both variables are added to the child's environment.
"""

from __future__ import annotations

import os
import sys

from socksify import _originals
from socksify._hook_location import template
from socksify.config import environ as variables
from socksify.config import inherited
from socksify.config import settings as config_settings
from socksify.patches import adapters, scope
from socksify.routing import fake_addresses
from socksify.tunnel.handover import handover

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from socksify.config.settings import Settings
    from socksify.patches.journal import Journal
    from socksify.patches.scope import Scope

_PREFIX = os.fsencode(inherited.VARIABLE)
_PYTHONPATH = b"PYTHONPATH"
_SCOPE = os.fsencode(inherited.SCOPE)
# This variable would turn the hook off.
_SWITCH = "SOCKSIFY_DISABLE"


class ChildEnvironment:
    """The variables that all children of this process are given under the same settings."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        """`settings` are for the children; `environ` is the environment that they come from."""
        self._settings, self._environ = settings, dict(environ)
        # The files in which children find the names of fake addresses.
        self._tables: tuple[str, ...] = ()
        self._library = adapters.LIBRARY.directory()
        self.variables = self._passed(settings) | _scope_variable(scope.installed.scope)
        # These variables were removed from os.environ, for the clients that cannot use them. A copy of os.environ lacks
        # them, so they are added again for a child.
        self._proxies = _encoded({name: os.environ[name] for name in variables.conflicting(settings, os.environ)})

    def refresh(self) -> bool:
        """Update the variables that name the tables of fake addresses. Return True if variables have changed.

        The variables also change if a child that starts now could not read the settings that were encrypted before.
        """
        tables = fake_addresses.TABLE.share()
        number = _scope_variable(scope.installed.scope)
        if tables == self._tables and number.items() <= self.variables.items() and inherited.can_be_received():
            return False
        self._tables = tables
        self.variables |= self._passed(self._settings) | number
        return True

    def variables_here(self) -> dict[bytes, bytes]:
        """Return the variables for a child that is started here: inside a block of via(), with the block's settings."""
        block = scope.entered()
        if block is None:
            return self.variables
        inside = scope.of(block)
        return self.variables | self._passed(config_settings.passed_on(inside.settings)) | _scope_variable(inside)

    def added_to(self, environ: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        """Return `environ` with the variables and the directory on PYTHONPATH that children are given."""
        path = _with_hook(environ.get(_PYTHONPATH, b""))
        return {**self._proxies, **environ, **self.variables_here(), _PYTHONPATH: path}

    def for_command(self, environ: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        """Return `environ` for a command that takes the place of this process, before anything is installed here."""
        # As in share(): the settings are meant for the command although the switch is set.
        return {name: value for name, value in self.added_to(environ).items() if name != os.fsencode(_SWITCH)}

    def _passed(self, settings: Settings) -> dict[bytes, bytes]:
        return _encoded(inherited.variables(settings, self._environ, self._tables, self._library))


class SharedEnvironment:
    """The environment of C and of children while settings are passed on: one object in a process."""

    def __init__(self) -> None:
        # os.environ is a view of this dict. A change of os.environ also changes the environment of C, while a change of
        # this dict does not.
        self._own: dict[bytes, bytes] = getattr(os.environ, "_data", {})
        # None while children are given nothing.
        self.current: ChildEnvironment | None = None

    def share(self, settings: Settings, environ: Mapping[str, str], journal: Journal) -> None:
        """Give children these settings, which come from `environ`, until the journal is undone. Raises ConfigError."""
        self.current = ChildEnvironment(settings, environ)
        journal.on_undo(self.clear)
        self._hide(self.current)
        if _SWITCH in os.environ:
            # This process got settings although the switch is set, so its children are meant to get them, too.
            journal.remove_item(os.environ, _SWITCH)
        self._put_into_c(self.current)

    def clear(self) -> None:
        """Give children nothing any more: make the environment of C equal to os.environ again."""
        current = self.current
        if current is None:
            return
        for name in (*current.variables, _PYTHONPATH):
            if name in self._own:
                _originals.putenv(name, self._own[name])
            else:
                _originals.unsetenv(name)
        if scope.installed.number:
            # The seal stays, and so does the scope of this process in it.
            _originals.putenv(_SCOPE, scope.installed.number)
        fake_addresses.TABLE.stop_sharing()
        self.current = None

    def refresh(self) -> None:
        """Before a child starts: write down the names of fake addresses and the targets of inherited connections."""
        if self.current is not None:
            if self.current.refresh():
                self._put_into_c(self.current)
            handover.publish()

    def given(self, environ: Mapping[bytes, bytes] | None) -> Mapping[bytes, bytes] | None:
        """Return the environment for a child that is started with `environ`.

        `environ` is None if the child gets the environment of C. That environment has all our variables already, except
        the settings of a block of via().
        """
        if self.current is None or (environ is None and scope.entered() is None):
            return environ
        return self.current.added_to(self._own if environ is None else environ)

    def has_hook_in(self, name: Any) -> bool:
        """Return True if the variable `name` of the environment of C has the hook's directory in it."""
        return self.current is not None and os.fsencode(name) == _PYTHONPATH

    def with_hook(self, name: Any, value: Any) -> Any:
        """Return the value for the environment of C if the program sets the variable `name` to `value`."""
        return _with_hook(os.fsencode(value)) if self.has_hook_in(name) else value

    def _put_into_c(self, given: ChildEnvironment) -> None:
        for name, value in given.variables.items():
            _originals.putenv(name, value)
        _originals.putenv(_PYTHONPATH, _with_hook(self._own.get(_PYTHONPATH, b"")))

    def _hide(self, given: ChildEnvironment) -> None:
        """In a child: remove what its parent has added from os.environ and sys.path."""
        # The parent may have passed on more variables than this process does.
        for name in [name for name in self._own if name in given.variables or name.startswith(_PREFIX)]:
            del self._own[name]
        left = _without_hook(self._own.get(_PYTHONPATH, b""))
        if left:
            self._own[_PYTHONPATH] = b":".join(left)
        else:
            self._own.pop(_PYTHONPATH, None)
        if template() in sys.path:
            sys.path.remove(template())


SHARED = SharedEnvironment()


def _scope_variable(where: Scope) -> dict[bytes, bytes]:
    """Return the variable by which the supervisor of a seal knows the settings of a child; none without a seal."""
    if not fake_addresses.TABLE.is_supervised:
        return {}
    return {_SCOPE: str(where.register()).encode()}


def _encoded(environ: Mapping[str, str]) -> dict[bytes, bytes]:
    """Return variables in bytes, as the environment of C has them."""
    return {os.fsencode(name): os.fsencode(value) for name, value in environ.items()}


def _with_hook(path: bytes) -> bytes:
    """Return a value of PYTHONPATH with the hook's directory in front and nowhere else."""
    return b":".join([os.fsencode(template()), *_without_hook(path)])


def _without_hook(path: bytes) -> list[bytes]:
    return [entry for entry in path.split(b":") if entry != os.fsencode(template())] if path else []
