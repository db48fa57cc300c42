"""Installs the package as soon as `socket` is imported. If that fails, the network is closed.

SOCKSIFY_ON_ERROR=exit ends the program as well. SOCKSIFY_ON_ERROR=allow lets the program go on without a proxy. Both
write a message to stderr.
"""

import os
import sys
from _frozen_importlib_external import PathFinder
from _thread import get_ident

import socksify_hook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

# These modules carry patches. They must not be imported again.
_PATCHED = ("socket", "_socket", "select", "selectors", "ssl", "_ssl", "asyncio")


def install() -> None:
    """Install with the environment that the interpreter had at its start. An error is handled by _fail()."""
    shield = _Shield()
    sys.meta_path.insert(0, shield)
    try:
        _install()
        socksify_hook.enter("installed")
    except BaseException as error:
        _fail(error)
        if not isinstance(error, Exception):
            raise
    finally:
        socksify_hook.end()
        sys.meta_path.remove(shield)
        shield.withdraw()


def _install() -> None:
    if sys.version_info < socksify_hook.OLDEST:
        raise ImportError(f"Python {sys.version.split()[0]} is too old for socksify, which needs 3.11 or later")
    import socksify

    if socksify.__file__ is None:
        # pip leaves the directory if it contains files that do not belong to the package.
        raise ImportError("socksify is a directory without the package", name="socksify")
    from socksify import _hook_location

    if socksify_hook.FORMAT not in getattr(_hook_location, "FORMATS", ()):
        problem = f"the hook has format {socksify_hook.FORMAT}, which socksify {socksify.__version__} does not serve"
        raise ImportError(f"{problem}; {_renewal()}")
    from socksify.site import hook_entry

    hook_entry.install(
        socksify_hook.environ, socksify_hook.directory, socksify_hook.settings, socksify_hook.settings_installed
    )


def _renewal() -> str:
    """Return what the user can do to get a hook that fits the package."""
    home = os.path.dirname(socksify_hook.__file__)
    if os.path.exists(f"{home}.pth"):
        return f"once more: {sys.executable} -m socksify site install"
    from socksify._hook_location import template

    return f"put {template()} on PYTHONPATH, in the place of {os.path.dirname(home)}"


def _fail(error: BaseException) -> None:
    """Do as SOCKSIFY_ON_ERROR says: `close` (the default), `exit`, which raises SystemExit, or `allow`."""
    from socksify_hook.network_block import tell

    on_error = socksify_hook.environ.get("SOCKSIFY_ON_ERROR") or "close"
    why = _described(error)
    socksify_hook.reveal()
    if on_error == "allow":
        socksify_hook.enter(f"allowed: {why}")
        tell(f"{why}; connections go direct, as SOCKSIFY_ON_ERROR=allow has it")
        return
    if on_error not in ("close", "exit"):
        why += f"; SOCKSIFY_ON_ERROR={on_error!r}: expected close, exit or allow"
    _close(why, error)
    if sys.version_info < socksify_hook.OLDEST and on_error != "exit":
        # The user who has started this Python takes it for covered.
        tell(f"{sys.executable}: {why}; its network is closed. To go without: {_way_out(error)}")
    if on_error == "exit":
        tell(f"{why}; the program ends, as SOCKSIFY_ON_ERROR=exit has it")
        raise SystemExit(2)


def _close(why: str, error: BaseException) -> None:
    from socksify_hook import network_block

    text = f"socksify: the network is closed: {why}. To go without: {_way_out(error)}"
    network_block.BLOCK.close(text, socksify_hook.PAST, _judge(), error, _is_covered, _note_reopening)
    socksify_hook.enter(f"closed: {why}")


def _judge() -> "Callable[[str, str], bool] | None":
    """Return the package's function that tells whether an extension module connects; None if there is none."""
    try:
        from socksify.patches.c_extensions import connects
    except Exception:
        return None
    return connects


def _note_reopening() -> None:
    """Note that the program has called install() with settings that can be used."""
    socksify_hook.enter("replaced")


def _described(error: BaseException) -> str:
    if _is_package_missing(error):
        return "the package socksify is not there; install it again"
    from socksify_hook.network_block import described

    return described(error)


def _is_package_missing(error: BaseException) -> bool:
    return isinstance(error, ImportError) and error.name == "socksify"


def _way_out(error: BaseException) -> str:
    """Return what the user can do to run the program without socksify."""
    if any(name.startswith("SOCKSIFY_INHERITED") for name in socksify_hook.environ):
        # A parent has passed on its settings. It takes a switch of its own away from its children.
        return "SOCKSIFY_DISABLE=1 in the environment that the program gives this child, or --no-children for all"
    home = os.path.dirname(socksify_hook.settings)
    if not os.path.exists(f"{home}.pth"):
        return f"SOCKSIFY_DISABLE=1, or take {os.path.dirname(home)} off PYTHONPATH"
    command = "" if _is_package_missing(error) else f"{sys.executable} -m socksify site uninstall, or "
    return f"SOCKSIFY_DISABLE=1, or {command}delete {home} and {home}.*"


def _is_covered(event: str, args: "tuple[Any, ...]") -> bool:
    """Return False if a child must be reported: a Python that will not find this hook.

    Its network is open, because there are no settings that could be passed on to it.
    """
    path = os.fsdecode(args[0])
    if event == "os.system" or not os.path.basename(path).startswith("python"):
        return True
    home = os.path.dirname(socksify_hook.settings)
    if os.path.exists(f"{home}.pth"):
        return path == sys.executable
    given = args[-1]
    environ = os.environ if given is None else {os.fsdecode(name): os.fsdecode(given[name]) for name in given}
    return os.path.dirname(home) in environ.get("PYTHONPATH", "").split(os.pathsep)


class _Shield:
    """A finder that hides files of the program with the names of standard modules from the package.

    The package gets the standard modules instead. withdraw() removes these modules from `sys.modules`, so that the
    program gets its own modules.
    """

    def __init__(self) -> None:
        self._thread = get_ident()
        self._programs = [entry for entry in sys.path if entry not in socksify_hook.path]
        self._withdrawn: list[str] = []

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        if path is not None or name == "socksify" or get_ident() != self._thread or target is not None:
            return None
        theirs = PathFinder.find_spec(name, self._programs)
        # A spec without a loader is a directory without __init__.py. Any other module comes before such a directory.
        if theirs is None or theirs.loader is None:
            return None
        self._withdrawn.append(name)
        return PathFinder.find_spec(name, socksify_hook.path)

    def withdraw(self) -> None:
        for name in list(sys.modules):
            top = name.partition(".")[0]
            if top in self._withdrawn and top not in _PATCHED:
                del sys.modules[name]
