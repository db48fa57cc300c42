"""Where the hook for whole environments is: what `socksify site` puts in place, and what child processes find."""

from __future__ import annotations

import os

# The directory in site-packages that holds the hook, and the stem of the files beside it.
NAME = "socksify_hook"
# The hooks that this package serves, by their FORMAT: a hook of such a format goes on after an upgrade of the package.
# A new number is for a change in what a hook calls (site.boot.install) or is asked for.
FORMATS = (1,)
_PACKAGE = os.path.dirname(os.path.abspath(__file__))


def template() -> str:
    """The directory with sitecustomize.py; a wheel has it in the package, a checkout beside it.

    In an archive that Python imports from it is no directory for anybody else.
    """
    inside = os.path.join(_PACKAGE, "sitecustomize_template")
    beside = os.path.join(os.path.dirname(_PACKAGE), "sitecustomize_template")
    return beside if os.path.isdir(beside) and not os.path.isdir(inside) else inside


def is_hooked(executable: str) -> bool:
    """Whether a Python, given by its path, starts with our hook and its settings, whatever its environment and options.

    Only -S keeps the hook out. It is a look at files, in the virtual environment or the prefix that the path is in.
    """
    prefix = os.path.dirname(os.path.dirname(os.path.abspath(executable)))
    binary = os.path.realpath(executable)
    if not os.path.exists(os.path.join(prefix, "pyvenv.cfg")):
        prefix = os.path.dirname(os.path.dirname(binary))
    libraries = _libraries(prefix)
    # Several versions share a prefix. Of a binary whose name does not say which one it is, it may be any.
    meant = libraries.get(os.path.basename(binary))
    return bool(libraries) and all(map(_holds_hook, libraries.values() if meant is None else [meant]))


def _libraries(prefix: str) -> dict[str, list[str]]:
    """Where the packages of each version may be, by the name of its directory, python3.11 say."""
    libraries: dict[str, list[str]] = {}
    # Debian's Python below /usr has its own in /usr/local, by another name.
    for library in (os.path.join(prefix, "lib"), os.path.join(prefix, "local", "lib")):
        for name in os.listdir(library) if os.path.isdir(library) else ():
            if name.startswith("python3."):
                libraries.setdefault(name, []).append(os.path.join(library, name))
    return libraries


def _holds_hook(libraries: list[str]) -> bool:
    files = (f"{NAME}.pth", os.path.join(NAME, "settings.toml"))
    places = [os.path.join(library, name) for library in libraries for name in ("site-packages", "dist-packages")]
    return any(all(os.path.exists(os.path.join(place, file)) for file in files) for place in places)
