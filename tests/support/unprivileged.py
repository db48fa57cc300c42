"""Programs that run as root, or as a user without any privilege."""

from __future__ import annotations

import shutil
import subprocess
import sys

from tests.support.network.namespaces import needs_root
from tests.support.paths import ROOT
from tests.support.processes import require, unavailable

AS_NOBODY = ["--reuid=nobody", "--regid=nogroup", "--clear-groups"]


def run_python(user: str, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program, given as text, as `root` or as `nobody`. `socksify` and `tests` can be imported there."""
    needs_root()
    command, python = as_user(user)
    return subprocess.run(
        [*command, python, "-c", program, *arguments],
        capture_output=True, text=True, timeout=60, cwd="/", env={"PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip


def as_user(user: str) -> tuple[list[str], str]:
    """Return the beginning of a command that runs as `root` or as `nobody`, and a Python that the user may run."""
    return ([], sys.executable) if user == "root" else ([require("setpriv"), *AS_NOBODY], _python_of_all())


def _python_of_all() -> str:
    """Return a Python that every user may run: the one of the tests may be in a home directory."""
    found = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    return found or unavailable("there is no Python in /usr/bin or /usr/local/bin")
