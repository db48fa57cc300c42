"""The table of made-up addresses, for child processes to read: an address among their arguments means the same name.

It is a file in memory with a slot for each place, which the parent changes with its table, so that a worker is told of
names that were looked up after it had started. Children read it as /proc/PID/fd/N, when they meet an address that they
have not made up themselves, and for as long as the parent lives; after that such an address is refused, as ever.
"""

from __future__ import annotations

import os

from socksify.descriptors import Kept
from socksify.interrupts import ours

_SLOT = 256
_FILE = "socksify-names"


class HandedDown:
    """The parent's side. Raises OSError where there is no such file to be had."""

    def __init__(self, places: int) -> None:
        # Not an mmap object, either: that has a duplicate of the descriptor, which it closes by its number.
        self._kept = Kept(os.memfd_create(_FILE))
        os.truncate(self._kept.number, places * _SLOT)

    @property
    def name(self) -> str:
        """By what name children open it."""
        return f"/proc/{os.getpid()}/fd/{self._kept.number}"

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
    except ours(OSError, ValueError):
        return None


def _is_table(file: str) -> bool:
    try:
        return os.readlink(file).startswith(f"/memfd:{_FILE}")
    except ours(OSError):
        return False
