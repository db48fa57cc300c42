"""Whether a Python is covered: it is started in each way that makes a difference to hooks, and asked.

Only a start shows what comes in between: other .pth files, somebody's sitecustomize, variables, a broken hook.
"""

from __future__ import annotations

import os

from socksify._hook import NAME
from socksify._record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SECONDS = 60
_MARK = "socksify-status "
# Names what importing `socket` has brought about. Other hooks may print as well. One that could not even be loaded has
# closed everything.
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
    """A way of starting, whether it is covered, and what there is to say about it."""

    name: str
    covered: bool
    why: str


def starts(executable: str) -> list[Start]:
    """Start it plain, with -I, with -S and with an empty environment."""
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
    """For people."""
    rows = [f"{start.name:18}{'covered' if start.covered else f'not covered: {start.why}'}" for start in starts]
    return "\n".join([executable, *rows]) + "\n"


def as_json(executable: str, starts: Sequence[Start]) -> str:
    """The same as an object: `python`, and a list `starts` of `start`, `covered`, `why`."""
    import json

    listed = [{"start": start.name, "covered": start.covered, "why": start.why} for start in starts]
    return json.dumps({"python": executable, "starts": listed}, indent=2) + "\n"
