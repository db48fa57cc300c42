"""Descriptors that are kept by number. There is one rule for them: a number alone proves nothing.

A program may close descriptors that it has not opened: daemons close all of them (`os.closerange()`), and tests close
those of sockets (`os.close(sock.fileno())`). The kernel gives the lowest free number to the next file, so the number of
our log may now be that of the program's data file. Therefore, before a kept number is read, written, polled or closed,
the kernel is asked whether it still means the same file: fstat(2) returns (st_dev, st_ino).

This pair tells sockets, pipes and files apart. It does not tell epoll objects, eventfds and timerfds apart, which all
have the same inode. Therefore no eventfd is kept by number, and `tunnel/epoll_masks.py` asks an epoll object for a
registration that only the right one can have.
"""

from __future__ import annotations

import os

from socksify import _originals
from socksify._signal_safety import ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    Result = TypeVar("Result")
    # (st_dev, st_ino)
    Identity = tuple[int, int]

STDERR = 2
# Kept descriptors have this number or a higher one, if the limit of open files allows it.
_HIGH = 100


def identity(fd: int) -> Identity | None:
    """Return the identity of a descriptor's file, or None if the number means no file."""
    try:
        status = os.fstat(fd)
    except ours(OSError):
        return None
    return status.st_dev, status.st_ino


class Kept:
    """A descriptor of our own. It is used as long as its number means the same file."""

    __slots__ = ("_flags", "_identity", "number")

    def __init__(self, fd: int) -> None:
        """Take over a descriptor that was just opened. Raises OSError."""
        # The number may appear in a path. To use the descriptor, take `fd`.
        self.number = _move_high(fd)
        self._identity = identity(self.number)
        # The program may have opened the same file under the same number, in another mode.
        self._flags = _flags(self.number)

    @property
    def fd(self) -> int | None:
        """The number, for immediate use; None if it no longer means our file."""
        fd = self.number
        is_ours = self._identity is not None and identity(fd) == self._identity and _flags(fd) == self._flags
        return fd if is_ours else None

    def close(self) -> None:
        """Close our file, if it is still open. Another file that has its number stays open. May be called twice."""
        fd = self.fd
        self._identity = None
        if fd is not None:
            os.close(fd)


class Stderr:
    """Descriptor 2, as long as it is the standard error of the program.

    If the program redirects its standard error (dup2(2)), the new one is used. If the program has closed it, the next
    file that Python opens gets the number 2. That file is not inheritable (PEP 446), and a standard error is. No
    duplicate is kept, because the reader of a pipe would wait for us to close it.
    """

    __slots__ = ("_identity",)

    def __init__(self) -> None:
        self._identity = identity(STDERR) if _is_inheritable(STDERR) else None

    @property
    def fd(self) -> int | None:
        """The number, for immediate use; None if it means another file, or no file."""
        if _is_inheritable(STDERR):
            return STDERR
        return STDERR if self._identity is not None and identity(STDERR) == self._identity else None


def write(descriptor: Kept | Stderr, data: bytes) -> bool:
    """Call write(2) once. Return False, and write nothing, if the number no longer means our file. Raises OSError."""
    fd = descriptor.fd
    if fd is None:
        return False
    _originals.write(fd, data)
    return True


def at(call: Callable[..., Result], sock: Any, *arguments: Any) -> Result:
    """Return call(the socket's descriptor, *arguments), for functions in C.

    No signal handler can run between the query for the number and the call.
    """
    return next(map(call, map(_originals.fileno, (sock,)), *[(argument,) for argument in arguments]))


def put_onto(fd: int, sock: Any) -> None:
    """Duplicate a descriptor onto that of a socket (dup2(2)) in the same way. Its inheritability stays the same."""
    inheritable = at(os.get_inheritable, sock)
    next(map(os.dup2, (fd,), map(_originals.fileno, (sock,)), (inheritable,)))


def _move_high(fd: int) -> int:
    """Move a file to a high number, and return the number. Raises OSError.

    The low numbers are for the program: the first file that it opens gets the same number as without socksify. Code in
    C prints to the three standard descriptors, so these are never kept.
    """
    try:
        return _move(fd, _HIGH)
    except OSError:  # RLIMIT_NOFILE is lower
        return fd if fd > STDERR else _move(fd, STDERR + 1)


def _move(fd: int, lowest: int) -> int:
    """Move a file to the first free number from `lowest` on, and return the number. Raises OSError."""
    from fcntl import F_DUPFD_CLOEXEC, fcntl

    moved = fcntl(fd, F_DUPFD_CLOEXEC, lowest)
    os.close(fd)
    return moved


def _flags(fd: int) -> int:
    # Imported here because most programs keep no descriptor.
    from fcntl import F_GETFL, fcntl

    try:
        return fcntl(fd, F_GETFL) & ~os.O_NONBLOCK
    except ours(OSError):
        return -1


def _is_inheritable(fd: int) -> bool:
    try:
        return os.get_inheritable(fd)
    except ours(OSError):  # closed
        return False
