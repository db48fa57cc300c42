"""Puts our methods on other classes of sockets: gevent has one beside socket.socket, eventlet a copy of that.

They stand on `_socket.socket` as socket.socket does, so what is said of that holds for them.
"""

from __future__ import annotations

from socksify import _real
from socksify.patches import connecting, datagrams, lifetime, listening

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.patches.journal import Journal

# The classes of sockets whose methods are ours; strict's audit hook lets them be made.
covered: set[type] = {_real.PythonSocket}


def cover(cls: type, journal: Journal) -> None:
    """Have a copy of socket.socket go by the rules, and every object of it that exists, until the journal is undone."""
    for module in (lifetime, connecting, listening, datagrams):
        for replacement in module.REPLACEMENTS:
            journal.set_attribute(cls, replacement.name, replacement.new)
    admit(cls, journal)


def cover_plain(cls: type, journal: Journal) -> None:
    """As cover(), for a class that has added nothing to `_socket.socket` but weak references."""
    for module in (connecting, listening, datagrams):
        for replacement in module.REPLACEMENTS:
            if replacement.name != "accept":
                journal.set_attribute(cls, replacement.name, replacement.new)
    for name, new in (("_accept", listening.accept_fd), *lifetime.PLAIN):
        journal.set_attribute(cls, name, new)
    admit(cls, journal)


def admit(cls: type, journal: Journal) -> None:
    covered.add(cls)
    journal.on_undo(lambda: covered.discard(cls))
