"""Globbing, local and on the server, and the names that completion offers.

The server lists a directory, and rftp matches the pattern. Servers interpret `NLST *.txt` in different ways, and some
pass a name to a program, as an option.
"""

from __future__ import annotations

import ftplib
import glob
import os
from fnmatch import fnmatchcase

from socksify.clients.rftp.console import Failure
from socksify.clients.rftp.session import Session

_WILDCARDS = "*?["


def matching_remote(session: Session, pattern: str) -> list[str]:
    """Return the files of the server that match, without directories. A name without wildcards is returned as it is.

    Raises Failure if there is no match.
    """
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
    """Return the local files that match, as matching_remote() does."""
    pattern = os.path.expanduser(pattern)
    if not is_pattern(pattern):
        return [pattern]
    names = sorted(name for name in glob.glob(pattern) if os.path.isfile(name))
    if not names:
        raise Failure(f"{pattern}: no match")
    return names


def is_pattern(name: str) -> bool:
    """Return True if a name contains wildcards."""
    return any(character in name for character in _WILDCARDS)


def entries(session: Session, directory: str) -> list[str]:
    """Return all names in a directory of the server. They are cached until a command changes something there."""
    if directory not in session.listings:
        session.listings[directory] = _list(session, directory)
    return session.listings[directory]


def _expanded(session: Session, base: str, part: str) -> list[str]:
    return _matches(base, part, entries(session, base)) if is_pattern(part) else [base + part]


def _matches(base: str, pattern: str, names: list[str]) -> list[str]:
    # As in a shell, a name with a leading dot matches only a pattern with a leading dot.
    visible = (name for name in names if pattern.startswith(".") or not name.startswith("."))
    return [base + name for name in sorted(visible) if fnmatchcase(name, pattern)]


def _list(session: Session, directory: str) -> list[str]:
    lines: list[str] = []
    try:
        session.server.retrlines(_command("NLST", directory), lines.append)
    except ftplib.error_perm as error:
        # Some servers answer 550 for an empty directory.
        if not str(error).startswith("550"):
            raise
    # Some servers put the directory in front of each name.
    names = (line.rstrip("/").rpartition("/")[2] for line in lines)
    return [name for name in names if name not in ("", ".", "..")]


def _files(session: Session, directory: str) -> list[str]:
    """Return the names in a directory without its subdirectories.

    NLST does not tell which names are directories. In the LIST of all current servers, their lines begin with d.
    """
    lines: list[str] = []
    session.server.retrlines(_command("LIST", directory), lines.append)
    directories = [line for line in lines if line.startswith("d")]
    return [name for name in entries(session, directory) if not any(line.endswith(f" {name}") for line in directories)]


def _command(verb: str, directory: str) -> str:
    return f"{verb} {directory}" if directory else verb
