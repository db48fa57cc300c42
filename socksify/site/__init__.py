"""The hook for whole environments: what it runs when `socket` arrives, and `socksify site`, which puts it in place."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

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
    prefix = os.path.dirname(os.path.dirname(os.path.abspath(executable)))
    if not os.path.exists(os.path.join(prefix, "pyvenv.cfg")):
        prefix = os.path.dirname(os.path.dirname(os.path.realpath(executable)))
    return any(map(_holds_hook, _site_packages(prefix)))


def _site_packages(prefix: str) -> Iterator[str]:
    # Debian's Python below /usr has its own in /usr/local, by another name.
    for library in (os.path.join(prefix, "lib"), os.path.join(prefix, "local", "lib")):
        for name in os.listdir(library) if os.path.isdir(library) else ():
            if name.startswith("python3."):
                yield os.path.join(library, name, "site-packages")
                yield os.path.join(library, name, "dist-packages")


def _holds_hook(packages: str) -> bool:
    files = (f"{NAME}.pth", os.path.join(NAME, "settings.toml"))
    return all(os.path.exists(os.path.join(packages, file)) for file in files)
