"""The settings in the message that multiprocessing sends to each Python that it starts (spawn, forkserver).

The message also reaches a Python that ignores its environment, and the children of a fork server that was started
before install().
"""

from __future__ import annotations

import os
import sys
from functools import partial

from socksify._hook_location import is_hooked, template
from socksify.patches.children import process_calls
from socksify.patches.children.environment import SHARED
from socksify.patches.children.uncovered_programs import UNCOVERED
from socksify.tunnel.handover import handover

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from socksify.patches.journal import Journal

# This text is executed when the message is read, before the rest of the message. Our package may be on no path yet; the
# hook finds it.
_INSTALL = """
import os, sys
environ = os.environ | passed
if "socksify_hook" not in sys.modules:
    sys.path.insert(0, place)
    # An import statement would be delayed until its name is used under -X lazy_imports=all.
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


class Message:
    """An object that installs the settings in the process that unpickles it."""

    def __init__(self, variables: dict[str, str]) -> None:
        """`variables` are the environment variables in which the settings are passed on (`config.inherited`)."""
        self._names = {"passed": variables, "place": template()}

    def __reduce__(self) -> tuple[Callable[..., None], tuple[object, ...]]:
        return exec, (_INSTALL, self._names)

    def program(self) -> str:
        """Return the text of a program that installs the settings."""
        return f"exec({_INSTALL!r}, {self._names!r})"


def message(receiver: str) -> Message | None:
    """Return the settings for a process that is sent a message.

    If children are given no settings, the result is None, and a warning names the process by the text `receiver`; with
    `strict`, PermissionError is raised instead.
    """
    current = SHARED.current
    if current is None:
        UNCOVERED.check_worker(receiver)
        return None
    SHARED.refresh()
    return Message({os.fsdecode(name): os.fsdecode(value) for name, value in current.variables_here().items()})


def watch(journal: Journal) -> None:
    """Make multiprocessing and uvloop pass the settings on, from their import until the journal is undone."""
    from socksify.patches.post_import import when_imported

    for name, adapt in ADAPTED.items():
        journal.on_undo(when_imported(name, partial(adapt, journal)))


def _adapt_util(journal: Journal, module: Any) -> None:
    original = module.spawnv_passfds

    def spawnv_passfds(path: Any, args: Sequence[Any], passfds: Sequence[int]) -> int:
        with process_calls.SETTINGS_BY_SPAWN_MESSAGE:
            pid: int = original(path, args, passfds)
            return pid

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
        """Start the fork server without preloaded modules if it will not find the hook; its children import them."""
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
    """Write connections down before a socket is copied for another process.

    The program may close the socket after it has written the copy's description to a pipe. multiprocessing keeps the
    copy until the other process asks for it, and our registry of connections does not know the copy.
    """
    original = module.DupFd.__init__

    def __init__(self: Any, fd: int) -> None:
        handover.publish()
        original(self, fd)

    journal.set_attribute(module.DupFd, "__init__", __init__)


ADAPTED = {
    # Not `multiprocessing.reduction`: it imports socket, and so we may be installed in the middle of it.
    "multiprocessing.resource_sharer": _adapt_sharer,
    "multiprocessing.util": _adapt_util,
    "multiprocessing.spawn": _adapt_spawn,
    "multiprocessing.forkserver": _adapt_forkserver,
    "uvloop": process_calls.wrap_uvloop,
}
