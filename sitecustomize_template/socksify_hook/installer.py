"""`socket` is there: the package installs, or the network is closed."""

import os
import sys
from _frozen_importlib_external import PathFinder
from _thread import get_ident

import socksify_hook
from socksify_hook import import_watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

# They carry our patches, and stay whose they are.
_PATCHED = ("socket", "_socket", "select", "selectors", "ssl", "_ssl", "asyncio")


def install() -> None:
    """Install with what the interpreter was started with; whatever goes wrong closes the network, unless told else."""
    shield = _Shield()
    sys.meta_path.insert(0, shield)
    try:
        _install()
        socksify_hook.state = "installed"
    except BaseException as error:
        from socksify_hook import network_block

        network_block.fail(error)
        if not isinstance(error, Exception):
            raise
    finally:
        import_watch.end()
        sys.meta_path.remove(shield)
        shield.withdraw()


def _install() -> None:
    if sys.version_info < socksify_hook.OLDEST:
        raise ImportError(f"Python {sys.version.split()[0]} is too old for socksify, which needs 3.11 or later")
    import socksify

    if socksify.__file__ is None:
        # A directory that pip has left, for what is in it and none of the package's.
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
    """What brings a hook that fits the package, whichever copy of it this is."""
    home = os.path.dirname(socksify_hook.__file__)
    if os.path.exists(f"{home}.pth"):
        return f"once more: {sys.executable} -m socksify site install"
    from socksify._hook_location import template

    return f"put {template()} on PYTHONPATH, in the place of {os.path.dirname(home)}"


class _Shield:
    """The program's directory may have files that are called as modules of the standard library: to us they are not.

    What was imported for us in their stead is taken out of `sys.modules` again, for the program to get its own.
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
        # Without a loader, it is a directory without __init__.py, which comes last.
        if theirs is None or theirs.loader is None:
            return None
        self._withdrawn.append(name)
        return PathFinder.find_spec(name, socksify_hook.path)

    def withdraw(self) -> None:
        for name in list(sys.modules):
            top = name.partition(".")[0]
            if top in self._withdrawn and top not in _PATCHED:
                del sys.modules[name]
