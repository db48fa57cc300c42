"""Globbing, here and there, and the names that completion offers.

The server is asked for a directory and the pattern is matched here: servers differ in what they make of `NLST *.txt`,
and with some it is an option to a program.
"""

from __future__ import annotations

import ftplib
import glob
import os
from fnmatch import fnmatchcase

from socksify.clients.rftp.console import Failure
from socksify.clients.rftp.session import Session

_MAGIC = "*?["


def matching_remote(session: Session, pattern: str) -> list[str]:
    """The files that a pattern means, directories left out; a name without wildcards means itself."""
    if not is_pattern(pattern):
        return [pattern]
    found = [""]
    *parents, last = pattern.split("/")
    for part in parents:
        found = [f"{name}/" for base in found for name in _expanded(session, base, part)]
    names = [name for base in found for name in _matches(base, last, _files(session, base))]
    if not names:
        raise Failure(f"{pattern}: no match")
    return names


def matching_local(pattern: str) -> list[str]:
    """The same for local files."""
    pattern = os.path.expanduser(pattern)
    if not is_pattern(pattern):
        return [pattern]
    names = sorted(name for name in glob.glob(pattern) if os.path.isfile(name))
    if not names:
        raise Failure(f"{pattern}: no match")
    return names


def is_pattern(name: str) -> bool:
    return any(character in name for character in _MAGIC)


def entries(session: Session, directory: str) -> list[str]:
    """All names in a directory of the server; remembered until something changes there."""
    if directory not in session.listings:
        session.listings[directory] = _list(session, directory)
    return session.listings[directory]


def _expanded(session: Session, base: str, part: str) -> list[str]:
    return _matches(base, part, entries(session, base)) if is_pattern(part) else [base + part]


def _matches(base: str, pattern: str, names: list[str]) -> list[str]:
    # As in a shell, a leading dot has to be asked for.
    visible = (name for name in names if pattern.startswith(".") or not name.startswith("."))
    return [base + name for name in sorted(visible) if fnmatchcase(name, pattern)]


def _list(session: Session, directory: str) -> list[str]:
    lines: list[str] = []
    try:
        session.server.retrlines(_command("NLST", directory), lines.append)
    except ftplib.error_perm as error:
        # Some say 550 of a directory without files.
        if not str(error).startswith("550"):
            raise
    # Some answer with the directory in front of each name.
    names = (line.rstrip("/").rpartition("/")[2] for line in lines)
    return [name for name in names if name not in ("", ".", "..")]


def _files(session: Session, directory: str) -> list[str]:
    """NLST does not tell what is a directory; the long listing of every server of today begins such a line with d."""
    long: list[str] = []
    session.server.retrlines(_command("LIST", directory), long.append)
    directories = [line for line in long if line.startswith("d")]
    return [name for name in entries(session, directory) if not any(line.endswith(f" {name}") for line in directories)]


def _command(verb: str, directory: str) -> str:
    return f"{verb} {directory}" if directory else verb
