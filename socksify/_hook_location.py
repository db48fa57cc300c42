"""The paths of the hook for whole environments: its template in this package, and its files in an environment."""

from __future__ import annotations

import os

# The directory in site-packages that holds the hook, and the stem of the files beside it.
NAME = "socksify_hook"
# The formats of the hooks that this package supports: such a hook keeps working after an upgrade of the package. A
# change of the interface between hook and package (site.hook_entry.install) needs a new number.
FORMATS = (1,)
_PACKAGE = os.path.dirname(os.path.abspath(__file__))


def template() -> str:
    """Return the directory with sitecustomize.py. A wheel has it in the package, a checkout beside the package.

    If the package is imported from an archive, this path is in the archive, and is no directory.
    """
    inside = os.path.join(_PACKAGE, "sitecustomize_template")
    beside = os.path.join(os.path.dirname(_PACKAGE), "sitecustomize_template")
    return beside if os.path.isdir(beside) and not os.path.isdir(inside) else inside


def is_complete() -> bool:
    """Return True if this package has the template of the hook, in a directory or in an archive with the package."""
    return os.path.isdir(template()) or not os.path.isdir(_PACKAGE)


def is_hooked(executable: str) -> bool:
    """Return True if the Python at a path starts with our hook and its settings, with any environment and options.

    Only -S keeps the hook out. The answer comes from the files in the virtual environment, or in the prefix, of the
    path.
    """
    prefix = os.path.dirname(os.path.dirname(os.path.abspath(executable)))
    binary = os.path.realpath(executable)
    if not os.path.exists(os.path.join(prefix, "pyvenv.cfg")):
        prefix = os.path.dirname(os.path.dirname(binary))
    libraries = _libraries(prefix)
    # Several versions may share a prefix. If the name of the binary has no version, all of them must have the hook.
    of_version = libraries.get(os.path.basename(binary))
    return bool(libraries) and all(map(_holds_hook, libraries.values() if of_version is None else [of_version]))


def _libraries(prefix: str) -> dict[str, list[str]]:
    """Return the directories that may hold the packages of each version, by name, such as python3.11."""
    libraries: dict[str, list[str]] = {}
    # Debian's Python in /usr has additional packages in /usr/local, under another name.
    for library in (os.path.join(prefix, "lib"), os.path.join(prefix, "local", "lib")):
        for name in os.listdir(library) if os.path.isdir(library) else ():
            if name.startswith("python3."):
                libraries.setdefault(name, []).append(os.path.join(library, name))
    return libraries


def _holds_hook(libraries: list[str]) -> bool:
    files = (f"{NAME}.pth", os.path.join(NAME, "settings.toml"))
    places = [os.path.join(library, name) for library in libraries for name in ("site-packages", "dist-packages")]
    return any(all(os.path.exists(os.path.join(place, file)) for file in files) for place in places)
