"""The table of fake addresses, for child processes to read: an address among their arguments means the same name.

It is a file in memory with a slot for each place, which the parent changes with its table, so that a worker is told of
names that were looked up after it had started. The file has a name of its own, by which children find it among the
parent's descriptors (/proc/PID/fd), when they meet an address that they have not made up themselves. The file may be
opened after the child was made. It can be read for as long as the parent lives; after that such an address is refused,
as ever.
"""

from __future__ import annotations

import os

from socksify._descriptors import Kept
from socksify._signal_safety import ours

_SLOT = 256
_FILE = "socksify-names"


class SharedTable:
    """The parent's side. Raises OSError where there is no such file to be had."""

    def __init__(self, path: str, places: int) -> None:
        # Not an mmap object, either: that has a duplicate of the descriptor, which it closes by its number.
        self._kept = Kept(os.memfd_create(os.path.basename(path)))
        os.truncate(self._kept.number, places * _SLOT)

    @property
    def is_there(self) -> bool:
        """Whether it can still be read: a daemon closes all descriptors."""
        return self._kept.fd is not None

    def put(self, place: int, name: str) -> None:
        """A place stands for a name."""
        text = name.encode("utf-8", "surrogatepass")
        if len(text) < _SLOT:
            self._write(place, bytes((len(text),)) + text)

    def remove(self, place: int) -> None:
        """A place stands for nothing."""
        self._write(place, b"\0")

    def stay(self, stays: bool) -> None:
        """Whether it is there after execve(2)."""
        fd = self._kept.fd
        if fd is not None:
            os.set_inheritable(fd, stays)

    def close(self) -> None:
        """Hand nothing down any more."""
        self._kept.close()

    def _write(self, place: int, data: bytes) -> None:
        fd = self._kept.fd
        if fd is None:
            return
        try:
            os.pwrite(fd, data, place * _SLOT)
        except ours(OSError):
            # No memory is left. A child then refuses the address, as one that it does not know.
            pass


def new_path() -> str:
    """Where children find a table of this process that is opened now or later."""
    return f"/proc/{os.getpid()}/fd/{_FILE}-{os.urandom(8).hex()}"


def read(path: str, place: int) -> str | None:
    """What a place stands for in an ancestor's table; None if in none, or if the ancestor is gone."""
    try:
        file = find(path)
        if file is None:
            return None
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            slot = os.pread(fd, _SLOT, place * _SLOT)
        finally:
            os.close(fd)
        return slot[1 : 1 + slot[0]].decode("utf-8", "surrogatepass") or None if slot else None
    except ours(OSError, ValueError):
        return None


def find(path: str) -> str | None:
    """The descriptor that has the table; the number of a process that has ended may be another one's."""
    directory, _, name = path.rpartition("/")
    for number in os.listdir(directory):
        try:
            if os.readlink(f"{directory}/{number}").startswith(f"/memfd:{name}"):
                return f"{directory}/{number}"
        except ours(OSError):  # closed meanwhile
            pass
    return None
