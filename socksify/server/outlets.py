"""Where lines for whoever runs the server go: standard error, or the local syslog; never waiting for either.

A reader that has stopped reading must not stop the sessions. O_NONBLOCK, though, belongs to the open file description
(open(2)), which we share with whoever started us: setting it would make the shell's own output fail. So a pipe or a
terminal is opened anew, and a socket is told at each call, as is a pipe of another user's, which cannot be opened.
"""

from __future__ import annotations

import os
import socket
import stat
from functools import lru_cache
from time import gmtime, localtime, strftime

from socksify import _real

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Outlet(Protocol):
        """Takes lines, as `frame` has made them: several at once, as long as they are no longer than `together`."""

        together: int

        def frame(self, when: float, severity: int, text: str, stamped: bool) -> bytes:
            """A line, with the time and who says it in front, unless it is `stamped` with them."""

        def write(self, line: bytes) -> int:
            """How many bytes were taken; raises OSError (BlockingIOError, too) when none were."""

        def close(self) -> None:
            """Gives back what was opened."""


# RFC 3164 section 4.1.1: the priority is the facility ("system daemons") times 8, and the severity.
DAEMON = 3
WARNING = 4
INFORMATIONAL = 6
STDERR = 2
# PIPE_BUF, says pipe(7): what is no longer is not mixed with what other processes write.
_WHOLE = 4096


def outlet(where: str) -> Outlet:
    """`stderr`, `syslog` or `syslog:PATH`, the Unix socket of a syslog that is not at the usual place."""
    if where == "stderr":
        return Descriptor(STDERR)
    return Syslog(where.partition(":")[2] or "/dev/log")


def timestamp(when: float) -> str:
    """RFC 3339, in UTC, with milliseconds."""
    return f"{_second(int(when))}.{int(when * 1000) % 1000:03d}Z"


@lru_cache(1)
def _second(when: int) -> str:
    # Made once for the thousands of lines that a second may have.
    return strftime("%Y-%m-%dT%H:%M:%S", gmtime(when))


class Descriptor:
    """A descriptor that others may have as well."""

    together = _WHOLE

    def __init__(self, fd: int) -> None:
        mode = os.fstat(fd).st_mode
        self._socket = _real.Socket(fileno=os.dup(fd)) if stat.S_ISSOCK(mode) else None
        # A file never blocks for long; opened anew it would have another offset than its other writers.
        self._own = _opened_anew(fd) if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) else None
        self._is_others = stat.S_ISFIFO(mode) and self._own is None
        self._fd = fd if self._own is None else self._own

    def frame(self, when: float, severity: int, text: str, stamped: bool) -> bytes:  # noqa: ARG002  # only syslog sorts by it
        head = "" if stamped else f"{timestamp(when)} sockd[{os.getpid()}]: "
        return f"{head}{text}\n".encode("utf-8", "backslashreplace")

    def write(self, line: bytes) -> int:
        if self._socket is not None:
            return self._socket.send(line, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        return _spliced(self._fd, line) if self._is_others else os.write(self._fd, line)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        if self._own is not None:
            os.close(self._own)


class Syslog:
    """The syslog of this machine. It may be away for a while: each line finds it by its path."""

    # A datagram is a line.
    together = 0

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket = _real.Socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def frame(self, when: float, severity: int, text: str, stamped: bool) -> bytes:  # noqa: ARG002  # every line needs the head
        # As syslog(3) writes it to the socket: without the host's name, in local time.
        head = f"<{DAEMON * 8 + severity}>{strftime('%b %e %H:%M:%S', localtime(when))} sockd[{os.getpid()}]: "
        return f"{head}{text}".encode("utf-8", "backslashreplace")

    def write(self, line: bytes) -> int:
        return self._socket.sendto(line, self._path)

    def close(self) -> None:
        self._socket.close()


def _spliced(fd: int, line: bytes) -> int:
    """Writes to a pipe by way of another: write(2) would wait, and splice(2) can be told not to."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.splice(reader, fd, os.write(writer, line), flags=os.SPLICE_F_NONBLOCK)
    finally:
        os.close(reader)
        os.close(writer)


def _opened_anew(fd: int) -> int | None:
    """Another, non-blocking description of the same thing; None where that cannot be had."""
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None
