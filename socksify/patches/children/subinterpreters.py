"""Subinterpreters: each has its own modules, without our patches. So the hook is started in each subinterpreter.

install() also covers a subinterpreter that was made before, unless code is running in it. If code is running, a warning
names the subinterpreter, or with `strict` install() is refused. A subinterpreter that C code makes later (mod_wsgi, for
example) is not covered.
"""

from __future__ import annotations

import os
import sys
from functools import partial

from socksify.config.errors import ConfigError
from socksify.config.inherited import variables
from socksify.patches import scope
from socksify.patches.notices import NOTICES
from socksify.patches.post_import import when_imported
from socksify.routing import fake_addresses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from socksify.config.settings import Settings
    from socksify.patches.journal import Journal

# The first name is used up to Python 3.12, the second since Python 3.13.
_MODULES = ("_xxsubinterpreters", "_interpreters")


def check(settings: Settings) -> None:
    """Raise ConfigError if `strict` forbids a subinterpreter that exists and cannot be covered."""
    for name in _MODULES:
        module: Any = sys.modules.get(name)
        for other in _others(module) if settings.strict and module is not None else ():
            if module.is_running(other):
                raise ConfigError(f"strict: {_why_uncovered(other)}")


def cover(journal: Journal) -> None:
    """Start the hook in each subinterpreter that exists or that is made until the journal is undone."""
    for name in _MODULES:
        journal.on_undo(when_imported(name, partial(_adapt, journal)))


def _adapt(journal: Journal, module: Any) -> None:
    original = module.create

    def create(*args: Any, **kwargs: Any) -> Any:
        created = original(*args, **kwargs)
        problem = _start_hook(module, created)
        if problem is not None:
            module.destroy(created)
            raise RuntimeError(f"socksify: its hook cannot be started in a subinterpreter: {problem}")
        return created

    journal.set_attribute(module, "create", create)
    for other in _others(module):
        problem = _why_uncovered(other) if module.is_running(other) else _start_hook(module, other)
        if problem is not None:
            NOTICES.give(str(problem), str(problem))


def _others(module: Any) -> list[Any]:
    """Return all interpreters but the main one, if this code runs in the main one.

    An installation in a subinterpreter covers that subinterpreter only.
    """
    main, here, *others = map(_id, (module.get_main(), module.get_current(), *module.list_all()))
    return [each for each in others if int(each) != int(main)] if int(here) == int(main) else []


def _id(found: Any) -> Any:
    """Return the identifier of an interpreter. Since Python 3.13 `found` is a tuple: the identifier and its origin."""
    return found[0] if isinstance(found, tuple) else found


def _why_uncovered(other: Any) -> str:
    return (
        f"the subinterpreter {int(other)} was there and busy at install(): its connections are not proxied;"
        " call socksify.install() before it is used, or in it"
    )


def _start_hook(module: Any, interpreter: Any) -> object:
    """Start the hook in an interpreter. Return the error, or None. Up to Python 3.12 run_string() raises the error."""
    try:
        return module.run_string(interpreter, _program())
    except RuntimeError as error:
        return error


def _program() -> str:
    """Return the text of a program that starts the hook with the installed settings."""
    from socksify.patches.children.spawn_message import Message

    tables = fake_addresses.TABLE.share()
    return Message(variables(scope.installed.scope.settings, os.environ, tables)).program()
