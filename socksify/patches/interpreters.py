"""Subinterpreters: each has modules of its own, where no patch of ours is. So the hook is started in it, as in a child.

That is for those that a program makes by the standard library; what C makes (mod_wsgi, say) nobody tells us of.
"""

from __future__ import annotations

import os
from functools import partial

from socksify.config.passing import variables
from socksify.patches import scope
from socksify.patches.arriving import when_imported
from socksify.tunnel import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from socksify.patches.journal import Journal

# Up to Python 3.12, and since.
_MODULES = ("_xxsubinterpreters", "_interpreters")


def cover(journal: Journal) -> None:
    """Start the hook in all that are made until the journal is undone."""
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


def _start_hook(module: Any, made: Any) -> object:
    """What went wrong, if anything: it is raised, and since 3.13 returned."""
    try:
        return module.run_string(made, _arrival())
    except RuntimeError as error:
        return error


def _arrival() -> str:
    """The program that starts it."""
    from socksify.patches.children.passing import Passed

    passed = Passed(variables(scope.installed.settings, os.environ, names.TABLE.hand_down()))
    _, (code, given) = passed.__reduce__()
    return f"exec({code!r}, {given!r})"
