"""Child processes: Pythons are given the settings, and a warning names other programs.

A Python finds the hook by its environment: PYTHONPATH leads to our sitecustomize.py, and one variable holds the
settings. Both variables are in the environment of C, which fork and exec, system(3) and code in C pass on to children.
They are not in `os.environ`, which belongs to the program. If the program gives a child an environment of its own, both
variables are added to that environment. The words of a command are never changed.

A process that multiprocessing starts gets the settings in its own pickled message as well. That message also reaches
a Python that ignores its environment (-I, -E).

A forked child has our patches already and needs nothing more.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from socksify.config.inherited import Inherited
    from socksify.config.settings import Settings
    from socksify.patches.journal import Journal


def cover(settings: Settings, environ: Mapping[str, str], journal: Journal, *, is_sealed: bool) -> None:
    """Pass settings on to every child that is started until the journal is undone.

    `environ` is the environment that the settings come from. If `settings.children` is False, children get no settings:
    a warning names each program that is started, or with `strict` its start is refused. In a sealed process every
    program is covered, so none is named or refused.
    """
    from socksify.patches.children import environment, spawn_message, uncovered_programs

    uncovered_programs.UNCOVERED.watch(settings, journal, is_sealed=is_sealed)
    if settings.children:
        environment.SHARED.share(settings, environ, journal)
    spawn_message.watch(journal)


def inherit(inherited: Inherited) -> None:
    """In a child: take over the directory of wrapt and the fake addresses that a parent has passed on."""
    from socksify.patches import adapters
    from socksify.routing import fake_addresses

    adapters.LIBRARY.borrow(inherited.library)
    fake_addresses.TABLE.inherit(inherited.names)
