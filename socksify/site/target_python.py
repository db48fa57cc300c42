"""The Python whose environment gets the hook, and whether its programs are covered.

If --python names another Python, that Python runs the whole command. It must have socksify installed, because the hook
is copied from its package and must fit its version.

Files alone do not show if a Python is covered: other .pth files, another sitecustomize, variables or a damaged hook may
interfere. So the Python is started in each way that makes a difference, and reports the state of its hook.
"""

from __future__ import annotations

import os
import sys

from socksify._hook_location import NAME
from socksify._record import Record
from socksify.config.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Added to the exit status of the other Python, so that it differs from the status of a program that is no Python.
_STATUS_OFFSET = 64
_NO_PACKAGE = "it has no socksify that its hook could load; first run %s -m pip install socksify"
_DELEGATED = f"""
import sys
def refuse(reason):
    sys.stderr.write("socksify site: %s: %s\\n" % (sys.executable, reason))
    raise SystemExit({_STATUS_OFFSET} + 2)
if sys.version_info < (3, 11):
    refuse("this is Python %d.%d; socksify needs 3.11 or later" % sys.version_info[:2])
try:
    from socksify.site.cli import run
except ImportError:
    refuse({_NO_PACKAGE!r} % sys.executable)
import json
raise SystemExit({_STATUS_OFFSET} + run(json.load(sys.stdin)))
"""


def delegate(path: str, words: Sequence[str]) -> int:
    """Let another Python run `socksify site` with the arguments `words`, and return its exit status.

    `path` is an executable or a virtual environment. The arguments are sent to its standard input, because they may
    contain a password. Raises ConfigError if the program cannot be run or is not a Python.
    """
    import json
    import subprocess

    executable = _executable(path)
    sys.stdout.flush()
    try:
        # -I: the working directory and PYTHONPATH must not decide which socksify is used. A later start with -I does
        # not use them either.
        child = subprocess.run([executable, "-I", "-c", _DELEGATED], input=json.dumps(list(words)), text=True)
    except OSError as error:
        raise ConfigError(f"--python: {path}: {error.strerror}; expected a Python or a virtual environment") from None
    status = child.returncode - _STATUS_OFFSET
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
    """Raise ConfigError if this Python finds socksify only in the working directory or on PYTHONPATH.

    The hook of a later start might not find the package there.
    """
    import subprocess

    # -P, because `python -m` has the working directory on sys.path.
    child = subprocess.run([sys.executable, "-E", "-P", "-c", "import socksify.site"], stderr=subprocess.DEVNULL)
    if child.returncode != 0:
        raise ConfigError(f"{sys.executable}: {_NO_PACKAGE % sys.executable}")


def site_packages() -> str:
    """Return the directory of this Python's packages. Raises ConfigError if site does not read .pth files there."""
    import site
    import sysconfig

    place = sysconfig.get_path("purelib")
    if place not in site.getsitepackages() or not os.path.isdir(place):
        raise ConfigError(f"{sys.executable}: {place} is no directory in which it looks for .pth files")
    return place


def manager() -> str | None:
    """Return the file which states that something else manages this Python's packages (PEP 668); None without one."""
    import sysconfig

    if sys.prefix != sys.base_prefix:
        return None
    marker = os.path.join(sysconfig.get_path("stdlib", sysconfig.get_default_scheme()), "EXTERNALLY-MANAGED")
    return marker if os.path.exists(marker) else None


_SECONDS = 60
_MARK = "socksify-status "
# Prints the state of the hook after an import of `socket`, on a line of its own, because other hooks may print as well.
# If the hook could not be loaded, there is no state, and every function of `socket` raises an exception.
_PROBE = f"""
import sys, socket
hook = sys.modules.get({NAME!r})
try:
    state = getattr(hook, "state", "") or socket.gethostname() and "none"
except OSError as error:
    state = f"closed: {{error}}"
sys.stdout.write("\\n{_MARK}" + state + "\\n")
"""


class Start(Record):
    """A way of starting Python. `covered` is True if the hook was installed; `why` is the reason if not."""

    name: str
    covered: bool
    why: str


def starts(executable: str) -> list[Start]:
    """Start the Python `executable` plain, with -I, with -S and with an empty environment."""
    return [
        _start(executable, "plain", (), os.environ),
        _start(executable, "-I", ("-I",), os.environ),
        _start(executable, "-S", ("-S",), os.environ),
        _start(executable, "empty environment", (), {}),
    ]


def _start(executable: str, name: str, options: Sequence[str], environ: Mapping[str, str]) -> Start:
    import subprocess

    try:
        child = subprocess.run(
            [executable, *options, "-c", _PROBE],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return Start(name, False, f"it did not start within {_SECONDS} seconds")
    states = [line[len(_MARK) :] for line in child.stdout.splitlines() if line.startswith(_MARK)]
    if not states:
        return Start(name, False, f"it ended with status {child.returncode}: {_last_line(child.stderr)}")
    state = states[-1]
    if state == "none":
        return Start(name, False, _why_none(options, environ))
    return Start(name, state == "installed", state)


def _why_none(options: Sequence[str], environ: Mapping[str, str]) -> str:
    if "-S" in options:
        return "-S starts without site, and so without any hook"
    return "off: SOCKSIFY_DISABLE is set" if environ.get("SOCKSIFY_DISABLE") == "1" else "no hook in this start"


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "nothing on stderr"


def as_text(executable: str, starts: Sequence[Start]) -> str:
    """Return the starts as lines for people."""
    rows = [f"{start.name:18}{'covered' if start.covered else f'not covered: {start.why}'}" for start in starts]
    return "\n".join([executable, *rows]) + "\n"


def as_json(executable: str, starts: Sequence[Start]) -> str:
    """Return the starts as a JSON object: `python`, and a list `starts` of objects with `start`, `covered`, `why`."""
    import json

    listed = [{"start": start.name, "covered": start.covered, "why": start.why} for start in starts]
    return json.dumps({"python": executable, "starts": listed}, indent=2) + "\n"
