"""`sockd passwd FILE USER`: writes a user and the salted hash of a password into a file of users."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Sequence
from getpass import getpass

from socksify.server.policy.users import entry

_DESCRIPTION = (
    "Asks for a password: twice at a terminal, otherwise as one line of standard input. Writes the salted hash of the "
    "password into FILE, in place of the hash that USER had there. FILE is created if it does not exist."
)


def main(arguments: Sequence[str]) -> int:
    """Run the command with `arguments`, the words after `sockd passwd`, and return its exit status."""
    parser = argparse.ArgumentParser("sockd passwd", description=_DESCRIPTION, allow_abbrev=False)
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("user", metavar="USER")
    args = parser.parse_args(arguments)
    try:
        write(args.file, os.fsencode(args.user), _password())
    except OSError as error:
        # The error may name the temporary file, which the user does not know.
        sys.stderr.write(f"sockd passwd: {args.file}: {error.strerror}\n")
        return 1
    except ValueError as error:
        sys.stderr.write(f"sockd passwd: {error}\n")
        return 1
    except (EOFError, KeyboardInterrupt) as error:
        sys.stderr.write("\nsockd passwd: nothing was changed\n")
        return 130 if isinstance(error, KeyboardInterrupt) else 1
    return 0


def write(path: str, user: bytes, password: bytes) -> None:
    """Replace the user's line in the file `path`, or add one. The file is replaced as a whole, by rename(2).

    Comments, order, mode and owner stay as they are. A new file can be read by its owner only. Raises OSError, and
    ValueError for a user or a password that a file of users cannot hold.
    """
    line = os.fsencode(entry(user, password))
    path = os.path.realpath(path)
    before, status = _read(path)
    kept = [other for other in before if other.strip().rpartition(b":")[0] != user]
    fd, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".passwd-")
    try:
        with open(fd, "wb") as file:
            if status is not None:
                os.fchmod(fd, status.st_mode & 0o7777)
                os.fchown(fd, status.st_uid, status.st_gid)
            file.write(b"".join(kept_line + b"\n" for kept_line in [*kept, line]))
            file.flush()
            os.fsync(fd)
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _read(path: str) -> tuple[list[bytes], os.stat_result | None]:
    try:
        with open(path, "rb") as file:
            return file.read().splitlines(), os.fstat(file.fileno())
    except FileNotFoundError:
        return [], None


def _password() -> bytes:
    if not sys.stdin.isatty():
        return sys.stdin.buffer.readline().rstrip(b"\r\n")
    password = getpass("Password: ")
    if getpass("Again: ") != password:
        raise ValueError("the two passwords are not the same")
    return os.fsencode(password)
