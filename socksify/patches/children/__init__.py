"""Child processes: the settings are passed on to Pythons, what cannot be covered is named.

A Python finds the hook in its environment: PYTHONPATH leads it to our sitecustomize.py, and one variable holds the
settings. Both are in the C environment, from which fork and exec, system(3) and C code make children, and not in
`os.environ`, which is the program's; where a child is given an environment of its own, they are added to it. The
words of a command are never touched. What multiprocessing starts is told by its own pickled message as well, which
also reaches a Python that ignores its environment (-I, -E).

A forked child has our patches already, and needs nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from socksify.config.inherited import Inherited
    from socksify.config.settings import Settings
    from socksify.patches.journal import Journal


def cover(settings: Settings, environ: Mapping[str, str], journal: Journal) -> None:
    """Pass these settings, which come from `environ`, on to every child that is made until the journal is undone.

    Where they say that children get none, what is started is named, or under strict refused.
    """
    from socksify.patches.children import environment, spawn_message, uncovered_programs

    uncovered_programs.begin(settings, journal)
    if settings.children:
        environment.share(settings, environ, journal)
    spawn_message.watch(journal)


def inherit(inherited: Inherited) -> None:
    """In a child: what beside the settings a parent has passed on."""
    from socksify.patches import adapters
    from socksify.routing import fake_addresses

    adapters.borrow(inherited.library)
    fake_addresses.TABLE.inherit(inherited.names)
