"""`socket` is there: the package is found and installs, or the network is closed."""

import os
import sys
from _frozen_importlib_external import PathFinder

import socksify_hook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

_HERE = os.path.dirname(os.path.abspath(__file__))
# Beside the hook: in site-packages, in a checkout, and in a wheel, which has the template in the package.
_HOMES = [os.path.abspath(os.path.join(_HERE, *[os.pardir] * levels)) for levels in (1, 2, 3)]


def find_package() -> "ModuleSpec | None":
    """Our own package: the program's directory, which is on sys.path by now, may have something else of its name."""
    return PathFinder.find_spec("socksify", [*filter(_holds_ours, _HOMES), *socksify_hook.path])


def _holds_ours(home: str) -> bool:
    # A copy of the hook may lie where anybody may write.
    try:
        owner = os.stat(os.path.join(home, "socksify", "__init__.py")).st_uid
        return owner == os.stat(__file__).st_uid
    except OSError:
        return False


def install() -> None:
    """Install with what the interpreter was started with; whatever goes wrong closes the network, unless told else."""
    socksify_hook.state = "installing"
    try:
        _install()
        socksify_hook.state = "installed"
    except BaseException as error:
        from socksify_hook import closing

        closing.fail(error)
        if not isinstance(error, Exception):
            raise
    finally:
        if socksify_hook.FINDER in sys.meta_path:
            sys.meta_path.remove(socksify_hook.FINDER)


def _install() -> None:
    import socksify

    if socksify.__version__ != socksify_hook.VERSION:
        raise ImportError(
            f"the hook is of socksify {socksify_hook.VERSION}, and {socksify.__version__} is installed;"
            " once more: python -m socksify site install"
        )
    from socksify.site import boot

    boot.install(socksify_hook.environ, socksify_hook.directory, socksify_hook.SETTINGS)
