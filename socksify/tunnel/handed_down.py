"""The table of made-up addresses, for child processes to read: an address among their arguments means the same name.

It is a file in memory with a slot for each place, which the parent changes with its table, so that a worker is told of
names that were looked up after it had started. Children read it as /proc/PID/fd/N, when they meet an address that they
have not made up themselves, and for as long as the parent lives; after that such an address is refused, as ever.
"""

from __future__ import annotations

import os

_SLOT = 256
_FILE = "socksify-names"


class HandedDown:
    """The parent's side. Raises OSError where there is no such file to be had."""

    def __init__(self, places: int) -> None:
        from mmap import mmap

        self._fd = os.memfd_create(_FILE)
        os.truncate(self._fd, places * _SLOT)
        # Memory and not the descriptor is written to: a daemon closes all descriptors, and ours may be another file's.
        self._memory = mmap(self._fd, places * _SLOT)

    @property
    def name(self) -> str:
        """By what name children open it."""
        return f"/proc/{os.getpid()}/fd/{self._fd}"

    def put(self, place: int, name: str) -> None:
        """A place stands for a name."""
        text = name.encode("utf-8", "surrogatepass")
        if len(text) < _SLOT:
            self._memory[place * _SLOT : place * _SLOT + 1 + len(text)] = bytes((len(text),)) + text

    def remove(self, place: int) -> None:
        """A place stands for nothing."""
        self._memory[place * _SLOT] = 0

    def stay(self, stays: bool) -> None:
        """Whether it is there after execve(2)."""
        if _is_table(self.name):
            os.set_inheritable(self._fd, stays)

    def close(self) -> None:
        """Hand nothing down any more."""
        if _is_table(self.name):
            os.close(self._fd)


def read(file: str, place: int) -> str | None:
    """What a place stands for in an ancestor's table; None if in none, or if the ancestor is gone."""
    try:
        # The number of a process that has ended may be another one's.
        if not _is_table(file):
            return None
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            slot = os.pread(fd, _SLOT, place * _SLOT)
        finally:
            os.close(fd)
        return slot[1 : 1 + slot[0]].decode("utf-8", "surrogatepass") or None if slot else None
    except (OSError, ValueError):
        return None


def _is_table(file: str) -> bool:
    try:
        return os.readlink(file).startswith(f"/memfd:{_FILE}")
    except OSError:
        return False
