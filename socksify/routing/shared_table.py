"""A copy of the fake address table for child processes: a fake address among their arguments keeps its name.

The table is a file in memory with a slot for each index. The parent changes it together with its own table, so a child
also finds names that were looked up after it had started. Children find the file among the descriptors of the parent
(/proc/PID/fd) by its name, so it may be opened after the child was started. It can be read while the parent lives.
After that, an unknown fake address is refused.
"""

from __future__ import annotations

import os

from socksify._descriptors import Kept
from socksify._signal_safety import ours

# A slot has the length of the name in its first byte, and then the name. A length of 0 means that there is no name.
_SLOT = 256
_FILE = "socksify-names"


class SharedTable:
    """The parent's side of the file. The constructor raises OSError if the file cannot be created."""

    def __init__(self, path: str, size: int) -> None:
        # An mmap object is not used, because it duplicates the descriptor, and closes the duplicate by its number.
        self._kept = Kept(os.memfd_create(os.path.basename(path)))
        os.truncate(self._kept.number, size * _SLOT)

    @property
    def is_open(self) -> bool:
        """True if the file can still be read. A daemon closes all descriptors."""
        return self._kept.fd is not None

    def put(self, index: int, name: str) -> None:
        """Write the name of an index."""
        text = name.encode("utf-8", "surrogatepass")
        if len(text) < _SLOT:
            self._write(index, bytes((len(text),)) + text)

    def remove(self, index: int) -> None:
        """Delete the name of an index."""
        self._write(index, b"\0")

    def keep_over_exec(self, kept: bool) -> None:
        """Decide whether the file stays open after execve(2)."""
        fd = self._kept.fd
        if fd is not None:
            os.set_inheritable(fd, kept)

    def close(self) -> None:
        """Close the file."""
        self._kept.close()

    def _write(self, index: int, data: bytes) -> None:
        fd = self._kept.fd
        if fd is None:
            return
        try:
            os.pwrite(fd, data, index * _SLOT)
        except ours(OSError):
            # No memory is left. A child refuses the address as an unknown one.
            pass


def new_path() -> str:
    """Return the path of a table of this process that is opened now or later."""
    return f"/proc/{os.getpid()}/fd/{_FILE}-{os.urandom(8).hex()}"


def read(path: str, index: int) -> str | None:
    """Return the name of an index in the table of an ancestor; None if there is no name, or the ancestor is gone."""
    try:
        file = find(path)
        if file is None:
            return None
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            slot = os.pread(fd, _SLOT, index * _SLOT)
        finally:
            os.close(fd)
        return slot[1 : 1 + slot[0]].decode("utf-8", "surrogatepass") or None if slot else None
    except ours(OSError, ValueError):
        return None


def find(path: str) -> str | None:
    """Return the path of the descriptor that has the table, or None.

    The file is looked up by its name, because the number of a process that has ended may belong to another one.
    """
    directory, _, name = path.rpartition("/")
    for number in os.listdir(directory):
        try:
            if os.readlink(f"{directory}/{number}").startswith(f"/memfd:{name}"):
                return f"{directory}/{number}"
        except ours(OSError):  # closed meanwhile
            pass
    return None
