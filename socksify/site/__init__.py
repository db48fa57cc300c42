"""The hook for whole environments: what it runs when `socket` arrives, and `socksify site`, which puts it in place."""

from __future__ import annotations

import os

# The directory in site-packages that holds the hook, and the stem of the files beside it.
NAME = "socksify_hook"
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def template() -> str:
    """The directory with sitecustomize.py; a wheel has it in the package, a checkout beside it."""
    inside = os.path.join(_PACKAGE, "sitecustomize_template")
    return inside if os.path.isdir(inside) else os.path.join(os.path.dirname(_PACKAGE), "sitecustomize_template")


def is_hooked(executable: str) -> bool:
    """Whether a Python, given by its path, starts with our hook and its settings, whatever its environment and options.

    Only -S keeps the hook out. It is a look at files, in the virtual environment or the prefix that the path is in.
    """
    unresolved = os.path.abspath(executable)
    prefixes = {os.path.dirname(os.path.dirname(path)) for path in (unresolved, os.path.realpath(unresolved))}
    if os.path.exists(os.path.join(os.path.dirname(os.path.dirname(unresolved)), "pyvenv.cfg")):
        prefixes = {os.path.dirname(os.path.dirname(unresolved))}
    return any(map(_holds_hook, prefixes))


def _holds_hook(prefix: str) -> bool:
    library = os.path.join(prefix, "lib")
    try:
        versions = [name for name in os.listdir(library) if name.startswith("python3.")]
    except OSError:
        return False
    places = [os.path.join(library, name, packages) for name in versions for packages in _PACKAGES]
    return any(
        os.path.exists(os.path.join(place, f"{NAME}.pth"))
        and os.path.exists(os.path.join(place, NAME, "settings.toml"))
        for place in places
    )


# The second is Debian's name, below /usr/local.
_PACKAGES = ("site-packages", "dist-packages")
