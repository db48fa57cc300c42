"""importlib.reload(socket), or a second import of it, makes a class and functions that nobody has patched.

copies.py sees to the copies of it that do not take its name.

Tools that unload what they imported at the start (ddtrace) have it imported again. Ours take their places; the class
stays the one that every socket so far, ssl's and subclasses are of.
"""

from __future__ import annotations

from socksify import _real
from socksify.patches import copies
from socksify.patches.arriving import when_imported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from socksify.patches.journal import Journal, Replacement


def outlive(replacements: Sequence[Replacement], journal: Journal) -> None:
    """Have these in force in each module of the same name that comes, until the journal is undone."""
    functions = [replacement for replacement in replacements if not isinstance(replacement.owner, type)]

    def reinstate(module: ModuleType) -> None:
        if module.__name__ == "_socket":
            copies.cover_copies(module, journal)
        if module.__name__ == "socket" and module.socket is not _real.PythonSocket:
            journal.set_attribute(module, "socket", _real.PythonSocket)
        for function in functions:
            if function.owner.__name__ == module.__name__ and getattr(module, function.name) is not function.new:
                journal.set_attribute(module, function.name, function.new)

    for name in {"socket", *(function.owner.__name__ for function in functions)}:
        journal.on_undo(when_imported(name, reinstate))
