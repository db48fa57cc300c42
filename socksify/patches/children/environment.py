"""What a child finds in its environment: the hook's directory on PYTHONPATH, and the settings in a variable."""

from __future__ import annotations

import os
import sys

from socksify import _real
from socksify.config import environ as variables
from socksify.config import passing
from socksify.site import template

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from socksify.config.settings import Settings
    from socksify.patches.journal import Journal

_PATH = b"PYTHONPATH"
_SEPARATOR = os.pathsep.encode()
# os.environ is a view of it, whose changes are told to C; this one is not.
_view: dict[bytes, bytes] = getattr(os.environ, "_data", {})


class Shared:
    """What all children of this process are given."""

    def __init__(self, settings: Settings) -> None:
        self.hook = os.fsencode(template())
        passed = passing.variables(settings, os.environ)
        self.variables = {os.fsencode(name): os.fsencode(value) for name, value in passed.items()}
        # We take them out of os.environ, for clients that cannot make use of them; a copy of it lacks them.
        self.proxies = {
            os.fsencode(name): os.fsencode(os.environ[name]) for name in variables.conflicting(settings, os.environ)
        }

    def added_to(self, environ: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
        """A child's environment, with it."""
        path = {_PATH: self.path(environ.get(_PATH, b""))}
        return {**self.proxies, **environ, **self.variables, **path}

    def path(self, own: bytes) -> bytes:
        """A PYTHONPATH that leads to the hook first; a child's may come from here already."""
        return _SEPARATOR.join([self.hook, *without(own, self.hook)])


# None: children are given nothing.
shared: Shared | None = None


def without(path: bytes, directory: bytes) -> list[bytes]:
    """The entries of a PYTHONPATH, but for one."""
    return [entry for entry in path.split(_SEPARATOR) if entry != directory] if path else []


def share(settings: Settings, journal: Journal) -> None:
    """Give children these settings, until the journal is undone."""
    global shared
    _hide()
    shared = Shared(settings)
    for name, value in shared.variables.items():
        _real.putenv(name, value)
    _real.putenv(_PATH, shared.path(_view.get(_PATH, b"")))
    journal.on_undo(_unshare)


def _unshare() -> None:
    global shared
    if shared is not None:
        for name in shared.variables:
            _real.unsetenv(name)
        _restore(_PATH)
    shared = None


def _restore(name: bytes) -> None:
    """What os.environ says holds again."""
    if name in _view:
        _real.putenv(name, _view[name])
    else:
        _real.unsetenv(name)


def _hide() -> None:
    """In a child: what was put into its environment for us is none of the program's."""
    hook = template()
    _view.pop(os.fsencode(passing.VARIABLE), None)
    if hook in sys.path:
        sys.path.remove(hook)
    path = _view.get(_PATH)
    if path is not None:
        left = without(path, os.fsencode(hook))
        if left:
            _view[_PATH] = _SEPARATOR.join(left)
        else:
            del _view[_PATH]


def given(environ: Mapping[bytes, bytes] | None) -> Mapping[bytes, bytes] | None:
    """The environment that a child is to have; None stands for that of C, where all is already."""
    return environ if environ is None or shared is None else shared.added_to(environ)
