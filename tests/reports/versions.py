"""Versions of the software in a run, for the note below a report's table."""

from __future__ import annotations

import platform
import re
import subprocess
from collections.abc import Iterable
from importlib.metadata import version


def debian(package: str) -> str:
    """Return the version of an installed Debian package without Debian's epoch and revision."""
    query = ["dpkg-query", "--show", "--showformat", "${Version}", package]
    found = subprocess.run(query, check=True, capture_output=True, text=True).stdout
    return re.sub(r"^\d+:|[-+].*$", "", found)


def note(*, packages: Iterable[str] = (), libraries: Iterable[str] = ()) -> str:
    """Return the note for a run with these packages of Debian and these libraries from PyPI, on this Python."""
    used = [*(f"{each} {debian(each)}" for each in packages), *(f"{each} {version(each)}" for each in libraries)]
    return f"Run with {', '.join(used)} on Python {platform.python_version()}."
