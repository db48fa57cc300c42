"""One line for each session that is over, and for what should be known beside; as text or as JSON.

A log that cannot be written (a full disk, a reader that has stopped) is no reason to fail a session, nor to grow:
lines wait up to a bound, are then lost, and their number is told when the log can be written again.

To write is what a short session costs most: so its line waits a little, for others that are then written with it. A
notice does not wait, nor what came before it.
"""

from __future__ import annotations

import json
import os
import socket
import stat
from collections import deque
from functools import lru_cache
from time import gmtime, localtime, strftime, time

from socksify import _originals
from socksify.server.core.loop import Loop
from socksify.server.session.report import line

TYPE_CHECKING = False

if TYPE_CHECKING:
    from socksify.server.session.report import Report

FORMATS = ("text", "json")
# Lines that wait for a log that cannot be written; and when to try again, in seconds.
MOST_WAITING = 4096
RETRY_SECONDS = 1.0
# How long the line of a session waits for others.
GATHER_SECONDS = 0.02


class Log:
    """Writes to `outlet` in one of `FORMATS`; to be closed. `lost` is how many lines never came to be written."""

    def __init__(self, loop: Loop, outlet: Outlet, form: str) -> None:
        self._loop = loop
        self._outlet = outlet
        self._as_json = form == "json"
        # When they ended, and what is to be said of them.
        self._ended: list[tuple[float, Report]] = []
        self._waiting: deque[bytes] = deque()
        self._untold = 0
        # There will be a flush, in a while; when the outlet has failed there is none before.
        self._gathering = False
        self._retrying = False
        self.lost = 0

    def anew(self, loop: Loop) -> Log:
        """The same, in a child that was forked: what waits is the parent's to write."""
        return Log(loop, self._outlet, "json" if self._as_json else "text")

    def session(self, report: Report) -> None:
        """A session is over. Its line is not put into words before it is written: whoever comes next waits for less."""
        self._ended.append((time(), report))
        if not self._gathering:
            self._gathering = True
            self._loop.after(GATHER_SECONDS, self._gathered)

    def notice(self, message: str) -> None:
        """What whoever runs the server should know."""
        self._put_sessions()
        now = time()
        self._put(now, WARNING, _object(now, "notice", {"message": message}) if self._as_json else message)
        if not self._retrying:
            self._flush()

    def close(self) -> None:
        """Whatever cannot be written now will never be."""
        self._retrying = False
        self._put_sessions()
        self._flush()
        self._outlet.close()

    def _put_sessions(self) -> None:
        ended, self._ended = self._ended, []
        for when, report in ended:
            if self._as_json:
                text = _object(when, "session", {name: getattr(report, name) for name in report._fields})
            else:
                text = line(report)
            self._put(when, INFORMATIONAL, text)

    def _put(self, when: float, severity: int, text: str) -> None:
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(self._outlet.frame(when, severity, text, self._as_json))
        else:
            self.lost += 1
            self._untold += 1

    def _gathered(self) -> None:
        self._gathering = False
        self._put_sessions()
        if not self._retrying:
            self._flush()

    def _flush(self) -> None:
        waiting = self._waiting
        while waiting and not self._retrying:
            piece = self._piece()
            try:
                rest = piece[self._outlet.write(piece) :]
            except OSError:
                rest = piece
                self._retry()
            if rest:
                waiting.appendleft(rest)
        if self._untold and not waiting:
            untold, self._untold = self._untold, 0
            self.notice(f"{untold} lines of this log were lost")

    def _piece(self) -> bytes:
        """As many lines as may be written at once."""
        lines = [self._waiting.popleft()]
        room = self._outlet.together - len(lines[0])
        while self._waiting and (room := room - len(self._waiting[0])) >= 0:
            lines.append(self._waiting.popleft())
        return b"".join(lines)

    def _retry(self) -> None:
        self._retrying = True
        self._loop.after(RETRY_SECONDS, self._try_again)

    def _try_again(self) -> None:
        self._retrying = False
        self._flush()


def _object(when: float, event: str, fields: dict[str, object]) -> str:
    return json.dumps({"time": timestamp(when), "pid": os.getpid(), "event": event, **fields})


# Where lines for whoever runs the server go: standard error, or the local syslog; never waiting for either.
#
# A reader that has stopped reading must not stop the sessions. O_NONBLOCK, though, belongs to the open file description
# (open(2)), which we share with whoever started us: setting it would make the shell's own output fail. So a pipe or a
# terminal is opened anew, and a socket is told at each call, as is a pipe of another user's, which cannot be opened.


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
        self._socket = _originals.Socket(fileno=os.dup(fd)) if stat.S_ISSOCK(mode) else None
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
        self._socket = _originals.Socket(socket.AF_UNIX, socket.SOCK_DGRAM)
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
