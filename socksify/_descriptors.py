"""Descriptors that are kept by number, and the one rule for them: a number proves nothing.

A program may close descriptors that it has not opened: daemons close all of them (`os.closerange()`), and tests close
those of sockets (`os.close(sock.fileno())`). The kernel gives the lowest free number to the next file. What we kept
as our log may then be the program's data file. So before a number that was kept is read, written, polled or
closed, the kernel is asked whether it still means the same file: fstat(2) tells (st_dev, st_ino).

That pair tells sockets, pipes and files apart. It does not tell one epoll object, eventfd or timerfd from another
one: all of these share one inode. So we keep no eventfd by number, and `tunnel/watch.py` asks an epoll object for a
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
    # st_dev, st_ino
    Identity = tuple[int, int]

STDERR = 2
# Descriptors that are kept have this number or a higher one, where the limit of open files allows it.
_HIGH = 100


def identity(fd: int) -> Identity | None:
    """Which file a descriptor means; None for a number that means none."""
    try:
        status = os.fstat(fd)
    except ours(OSError):
        return None
    return status.st_dev, status.st_ino


class Kept:
    """A descriptor of ours, by number. It is used as long as the kernel says that it is the same file."""

    __slots__ = ("_flags", "_identity", "number")

    def __init__(self, fd: int) -> None:
        """Takes a descriptor that was just opened. Raises OSError."""
        # For a name of it; `fd` is for its use.
        self.number = _out_of_the_way(fd)
        self._identity = identity(self.number)
        # The program may have opened the same file under the same number, in another mode.
        self._flags = _flags(self.number)

    @property
    def fd(self) -> int | None:
        """The number, to be used at once; None if it no longer means our file."""
        fd = self.number
        is_ours = self._identity is not None and identity(fd) == self._identity and _flags(fd) == self._flags
        return fd if is_ours else None

    def close(self) -> None:
        """Close our file, if it is still there; whatever has its number now stays open. Twice is harmless."""
        fd = self.fd
        self._identity = None
        if fd is not None:
            os.close(fd)


class Stderr:
    """Descriptor 2, as long as it is the standard error of the program.

    A program that redirects its standard error (dup2(2)) goes on with it. In a program that has closed it, the next
    file that Python opens has its number, and that one is not inheritable (PEP 446), which a standard error is.
    No duplicate is kept: whoever reads the other end of a pipe would wait for us to close it.
    """

    __slots__ = ("_identity",)

    def __init__(self) -> None:
        self._identity = identity(STDERR) if _is_inheritable(STDERR) else None

    @property
    def fd(self) -> int | None:
        """The number, to be used at once; None if it means something else, or nothing."""
        if _is_inheritable(STDERR):
            return STDERR
        return STDERR if self._identity is not None and identity(STDERR) == self._identity else None


def write(descriptor: Kept | Stderr, data: bytes) -> bool:
    """write(2), once; False, and nothing written, where the number no longer means our file. Raises OSError."""
    fd = descriptor.fd
    if fd is None:
        return False
    _originals.write(fd, data)
    return True


def at(call: Callable[..., Result], sock: Any, *arguments: Any) -> Result:
    """call(the socket's descriptor, *arguments), for C functions: no handler runs after the number was asked for."""
    return next(map(call, map(_originals.fileno, (sock,)), *[(argument,) for argument in arguments]))


def put_onto(fd: int, sock: Any) -> None:
    """dup2(2) of a descriptor onto that of a socket, in the same way; it stays as inheritable as it was."""
    inheritable = at(os.get_inheritable, sock)
    next(map(os.dup2, (fd,), map(_originals.fileno, (sock,)), (inheritable,)))


def _out_of_the_way(fd: int) -> int:
    """The same file under a high number. Raises OSError.

    The low numbers are the program's: the first file that it opens has the same one as without us. What C prints goes
    to the three standard ones, so those are never kept.
    """
    try:
        return _moved(fd, _HIGH)
    except OSError:  # RLIMIT_NOFILE is lower
        return fd if fd > STDERR else _moved(fd, STDERR + 1)


def _moved(fd: int, lowest: int) -> int:
    """The same file under the first free number from `lowest` on, and no longer under the old one."""
    from fcntl import F_DUPFD_CLOEXEC, fcntl

    moved = fcntl(fd, F_DUPFD_CLOEXEC, lowest)
    os.close(fd)
    return moved


def _flags(fd: int) -> int:
    # Imported here because most programs keep nothing.
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
