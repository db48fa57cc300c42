"""The Python whose environment is meant: this one, or another one, which then does it all by itself.

The other one has to have socksify, and it is its version that counts: the hook is copied out of its package.
"""

from __future__ import annotations

import os
import sys

from socksify.config.settings import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# Added to the exit status of what has been obeyed: whatever else ends, with 0 or 1 say, has not understood.
_OBEYED = 64
_NO_PACKAGE = "it has no socksify that its hook could load; first run %s -m pip install socksify"
_DELEGATED = f"""
import sys
def refuse(reason):
    sys.stderr.write("socksify site: %s: %s\\n" % (sys.executable, reason))
    raise SystemExit({_OBEYED} + 2)
if sys.version_info < (3, 11):
    refuse("this is Python %d.%d; socksify needs 3.11 or later" % sys.version_info[:2])
try:
    from socksify.site.command import obey
except ImportError:
    refuse({_NO_PACKAGE!r} % sys.executable)
import json
raise SystemExit({_OBEYED} + obey(json.load(sys.stdin)))
"""


def delegate(path: str, words: Sequence[str]) -> int:
    """Have another Python, an executable or a virtual environment, obey the words; its exit status.

    They go to its standard input: there may be a password among them. Raises ConfigError when it cannot be run, or is
    no Python.
    """
    import json
    import subprocess

    executable = _executable(path)
    sys.stdout.flush()
    try:
        # -I: neither the working directory nor PYTHONPATH has a say in what is hooked, as in a start with -I later.
        child = subprocess.run([executable, "-I", "-c", _DELEGATED], input=json.dumps(list(words)), text=True)
    except OSError as error:
        raise ConfigError(f"--python: {path}: {error.strerror}; expected a Python or a virtual environment") from None
    status = child.returncode - _OBEYED
    if status not in (0, 1, 2):
        raise ConfigError(f"--python: {path}: expected a Python; it ended with status {child.returncode}")
    return status


def _executable(path: str) -> str:
    import shutil

    inside = os.path.join(path, "bin", "python")
    if os.path.isdir(path) and os.path.exists(inside):
        return inside
    found = shutil.which(path)
    if found is None or os.path.isdir(path):
        raise ConfigError(f"--python: {path}: expected a Python that can be run, or a virtual environment")
    return found


def check_package() -> None:
    """Raises ConfigError if this Python has us from a directory that its hook may find or not, as it is started."""
    import subprocess

    # -P: `python -m` looks into the working directory.
    child = subprocess.run([sys.executable, "-E", "-P", "-c", "import socksify.site"], stderr=subprocess.DEVNULL)
    if child.returncode != 0:
        raise ConfigError(f"{sys.executable}: {_NO_PACKAGE % sys.executable}")


def site_packages() -> str:
    """Where this Python's packages are, and site looks for .pth files. Raises ConfigError when that is nowhere."""
    import site
    import sysconfig

    place = sysconfig.get_path("purelib")
    if place not in site.getsitepackages() or not os.path.isdir(place):
        raise ConfigError(f"{sys.executable}: {place} is no directory in which it looks for .pth files")
    return place


def manager() -> str | None:
    """The file that says that something else manages this Python's packages (PEP 668), None where none does."""
    import sysconfig

    if sys.prefix != sys.base_prefix:
        return None
    marker = os.path.join(sysconfig.get_path("stdlib", sysconfig.get_default_scheme()), "EXTERNALLY-MANAGED")
    return marker if os.path.exists(marker) else None
