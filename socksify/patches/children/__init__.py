"""Child processes: the settings are passed on to Pythons, and other programs are named.

A Python finds the hook by its environment: PYTHONPATH leads to our sitecustomize.py, and one variable holds the
settings. Both are in the environment of C, from which fork and exec, system(3) and code in C make children. They are
not in `os.environ`, which belongs to the program. If a child is given an environment of its own, they are added to that
environment. The words of a command are never changed.

A process that multiprocessing starts gets the settings in its own pickled message as well. That message also reaches
a Python that ignores its environment (-I, -E).

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
    """Pass settings on to every child that is made until the journal is undone.

    `environ` is the environment that the settings come from. If the settings say that children get none, what is
    started is named, or with `strict` refused. Raises ConfigError if proxychains4 is asked for and cannot be had.
    """
    from socksify.patches.children import environment, spawn_message, uncovered_programs

    uncovered_programs.UNCOVERED.watch(settings, journal)
    if settings.children:
        environment.SHARED.share(settings, environ, journal)
    spawn_message.watch(journal)


def inherit(inherited: Inherited) -> None:
    """In a child: take over what a parent has passed on beside the settings."""
    from socksify.patches import adapters
    from socksify.routing import fake_addresses

    adapters.LIBRARY.borrow(inherited.library)
    fake_addresses.TABLE.inherit(inherited.names)
