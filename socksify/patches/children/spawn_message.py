"""The settings in the message that multiprocessing sends to a Python it has started (spawn, forkserver).

It reaches a Python that ignores its environment, and a fork server that runs since before the settings.
"""

from __future__ import annotations

import os
import sys
from _thread import get_ident
from functools import partial

from socksify._hook_location import is_hooked, template
from socksify.patches.children import environment, process_calls, uncovered_programs
from socksify.tunnel import handover

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from socksify.patches.journal import Journal

# Run when the message is read, in front of all else in it: our package may be on no path yet, the hook finds it.
_ARRIVAL = """
import os, sys
environ = os.environ | passed
if "socksify_hook" not in sys.modules:
    sys.path.insert(0, place)
    # At once: a statement would wait for its name under -X lazy_imports=all.
    __import__("socksify_hook")
    sys.path.remove(place)
hook = sys.modules["socksify_hook"]
hook.start(environ)
if hook.state == "waiting":
    hook.environ = environ
if hook.state == "installed":
    from socksify.site.hook_entry import install
    install(environ, os.curdir, "")
"""


class Passed:
    """Unpickled, it installs."""

    def __init__(self, variables: dict[str, str]) -> None:
        self._names = {"passed": variables, "place": template()}

    def __reduce__(self) -> tuple[Callable[..., None], tuple[object, ...]]:
        return exec, (_ARRIVAL, self._names)


def message(receiver: str) -> Passed | None:
    """The settings for a process that is sent a message; None, and the receiver is named, where children get none.

    Raises PermissionError then, under strict.
    """
    shared = environment.shared
    if shared is None:
        uncovered_programs.uncovered_worker(receiver)
        return None
    shared.tell_names()
    return Passed({os.fsdecode(name): os.fsdecode(value) for name, value in shared.here().items()})


def watch(journal: Journal) -> None:
    """Let multiprocessing, and uvloop, pass the settings on, once they are imported and until the journal is undone."""
    from socksify.patches.post_import import when_imported

    for name, adapt in ADAPTED.items():
        journal.on_undo(when_imported(name, partial(adapt, journal)))


def _adapt_util(journal: Journal, module: Any) -> None:
    original = module.spawnv_passfds

    def spawnv_passfds(path: Any, args: Sequence[Any], passfds: Sequence[int]) -> int:
        process_calls.told.add(get_ident())
        try:
            pid: int = original(path, args, passfds)
            return pid
        finally:
            process_calls.told.discard(get_ident())

    journal.set_attribute(module, "spawnv_passfds", spawnv_passfds)


def _adapt_spawn(journal: Journal, module: Any) -> None:
    original = module.get_preparation_data

    def get_preparation_data(name: str) -> dict[str, Any]:
        data: dict[str, Any] = original(name)
        passed = message("a worker of multiprocessing")
        return data if passed is None else {"socksify": passed, **data}

    journal.set_attribute(module, "get_preparation_data", get_preparation_data)


def _adapt_forkserver(journal: Journal, module: Any) -> None:
    original = module.ForkServer.ensure_running

    def ensure_running(self: Any) -> None:
        """A fork server that will not find the hook imports nothing of the program's; its children do it themselves."""
        if not sys.flags.ignore_environment or is_hooked(os.fsdecode(module.spawn.get_executable())):
            original(self)
            return
        preload, self._preload_modules = self._preload_modules, []
        try:
            original(self)
        finally:
            self._preload_modules = preload

    journal.set_attribute(module.ForkServer, "ensure_running", ensure_running)


def _adapt_sharer(journal: Journal, module: Any) -> None:
    """A socket may be closed here as soon as a pipe has it: the copy that it keeps is no connection known to us."""
    original = module.DupFd.__init__

    def __init__(self: Any, fd: int) -> None:
        handover.tell()
        original(self, fd)

    journal.set_attribute(module.DupFd, "__init__", __init__)


def _adapt_uvloop(journal: Journal, module: Any) -> None:
    from socksify.patches.children import process_calls

    process_calls.adapt(journal, module)


ADAPTED = {
    # Not `reduction`, in whose middle we are installed: it imports socket.
    "multiprocessing.resource_sharer": _adapt_sharer,
    "multiprocessing.util": _adapt_util,
    "multiprocessing.spawn": _adapt_spawn,
    "multiprocessing.forkserver": _adapt_forkserver,
    "uvloop": _adapt_uvloop,
}
