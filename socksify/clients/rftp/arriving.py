"""What a download becomes: where it goes, and the file that has its name when it is whole, and `.part` until then."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import BinaryIO

from socksify.clients.rftp.screen import Failure


def target_of(remote: str, local: str) -> str:
    """Where a download goes: into a directory under its own name; a link is followed, not replaced."""
    path = os.path.realpath(os.path.expanduser(local or last_part(remote)))
    return os.path.join(path, last_part(remote)) if os.path.isdir(path) else path


def is_plain(path: str) -> bool:
    """Whether there is a file or nothing; a device or a pipe is written to and never replaced."""
    return os.path.isfile(path) or not os.path.exists(path)


def what_is_here(target: str) -> int:
    """How many bytes of a download there are already; a file that has its name and is to go on is incomplete, too."""
    found = next((path for path in (_partial(target), target) if os.path.isfile(path)), None)
    return os.path.getsize(found) if found else 0


@contextlib.contextmanager
def incomplete(target: str, start: int) -> Iterator[BinaryIO]:
    """A file, written from `start` on, that gets its name when the block ends well; else it stays for reget."""
    partial = _partial(target)
    if start and start > (here := what_is_here(target)):
        raise Failure(f"{target}: restart at {start}, and only {here} bytes are here")
    named = start > 0 and not os.path.exists(partial)
    if named:
        os.rename(target, partial)
    # Whoever may write here must not have us write elsewhere.
    file = os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666), "wb")
    came = start
    try:
        with file:
            file.seek(start)
            try:
                yield file
            except BaseException:
                came = file.tell()
                if came > start:
                    file.truncate()
                raise
            file.truncate()
        os.replace(partial, target)
    except BaseException:
        if os.path.getsize(partial) == 0:
            os.unlink(partial)
        elif named and came == start:
            os.rename(partial, target)
        raise


def last_part(name: str) -> str:
    """What a file is called on the other side: never a path, which a server could choose."""
    last = name.rstrip("/").rpartition("/")[2]
    if last in ("", ".", ".."):
        raise Failure(f"{name}: not the name of a file")
    return last


def _partial(local: str) -> str:
    return f"{local}.part"
