"""importlib.reload(socket) makes a new class and new functions, which nobody has patched: ours take their places again.

The class stays the one that all sockets, ssl's and subclasses are of, so that they are still its instances as well.
"""

from __future__ import annotations

import socket as _module

from socksify.patches.arriving import when_imported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from socksify.patches.journal import Journal, Replacement

_CLASS = _module.socket


def outlive(replacements: Sequence[Replacement], journal: Journal) -> None:
    """Have these in force after each reload, until the journal is undone."""

    def reinstate(module: ModuleType) -> None:
        module.socket = _CLASS  # type: ignore[attr-defined]
        for replacement in replacements:
            if replacement.owner is module:
                setattr(module, replacement.name, replacement.new)

    journal.on_undo(when_imported("socket", reinstate))
