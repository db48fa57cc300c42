"""Subinterpreters: each has modules of its own, where no patch of ours is. So the hook is started in it, as in a child.

Those that were made before install() are covered by it, unless code runs in them: they are named, or under strict
install() is refused. What C makes later (mod_wsgi, say) nobody tells us of.
"""

from __future__ import annotations

import os
import sys
from functools import partial

from socksify.config.errors import ConfigError
from socksify.config.inherited import variables
from socksify.patches import scope
from socksify.patches.post_import import when_imported
from socksify.routing import fake_addresses, log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from socksify.config.settings import Settings
    from socksify.patches.journal import Journal

# Up to Python 3.12, and since.
_MODULES = ("_xxsubinterpreters", "_interpreters")


def check(settings: Settings) -> None:
    """Raises ConfigError if strict forbids one that is there and cannot be covered."""
    for name in _MODULES:
        module: Any = sys.modules.get(name)
        for there in _others(module) if settings.strict and module is not None else ():
            if module.is_running(there):
                raise ConfigError(f"strict: {_why(there)}")


def cover(journal: Journal) -> None:
    """Start the hook in all that are there, and in all that are made until the journal is undone."""
    for name in _MODULES:
        journal.on_undo(when_imported(name, partial(_adapt, journal)))


def _adapt(journal: Journal, module: Any) -> None:
    original = module.create

    def create(*args: Any, **kwargs: Any) -> Any:
        made = original(*args, **kwargs)
        problem = _start_hook(module, made)
        if problem is not None:
            module.destroy(made)
            raise RuntimeError(f"socksify: its hook cannot be started in a subinterpreter: {problem}")
        return made

    journal.set_attribute(module, "create", create)
    for there in _others(module):
        problem = _why(there) if module.is_running(there) else _start_hook(module, there)
        if problem is not None:
            log.warn(str(problem))


def _others(module: Any) -> list[Any]:
    """All but the main one, which this code runs in; what is installed in another one speaks for that one alone."""
    main, here, *there = map(_id, (module.get_main(), module.get_current(), *module.list_all()))
    return [each for each in there if int(each) != int(main)] if int(here) == int(main) else []


def _id(found: Any) -> Any:
    """Since 3.13 it comes with who has made the interpreter."""
    return found[0] if isinstance(found, tuple) else found


def _why(there: Any) -> str:
    return (
        f"the subinterpreter {int(there)} was there and busy at install(): its connections are not proxied;"
        " call socksify.install() before it is used, or in it"
    )


def _start_hook(module: Any, made: Any) -> object:
    """What went wrong, if anything: it is raised, and since 3.13 returned."""
    try:
        return module.run_string(made, _arrival())
    except RuntimeError as error:
        return error


def _arrival() -> str:
    """The program that starts it."""
    from socksify.patches.children.spawn_message import Passed

    passed = Passed(variables(scope.installed.scope.settings, os.environ, fake_addresses.TABLE.share()))
    _, (code, given) = passed.__reduce__()
    return f"exec({code!r}, {given!r})"
