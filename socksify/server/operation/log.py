"""The log of the server: one line for each session that is over, and notices; as text or as JSON.

A log that cannot be written (a full disk, a reader that has stopped) must neither fail a session nor take memory
without bound. Up to a limit the lines wait. Further lines are lost, and their number is logged as soon as the log can
be written again.

Writing its line is the most expensive part of a short session. So the line of a session waits a little for others, and
all of them are written at once. A notice is written at once, and so are the lines before it.

The log must never wait for its reader, neither on standard error nor at the local syslog. O_NONBLOCK, however, belongs
to the open file description (open(2)), which this process shares with the process that started it: setting the flag
would make the shell's own output fail. So a pipe or a terminal is opened again. On a socket, each call has the flag
MSG_DONTWAIT. A pipe of another user cannot be opened again; splice(2), which can be told not to wait, writes to it.
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
    from typing import Protocol

    from socksify.server.session.report import Report

    class LogSink(Protocol):
        """A place to which lines are written."""

        # Several lines may be written with one call if they are not longer than this, in bytes.
        most_at_once: int

        def frame(self, when: float, severity: int, text: str, stamped: bool) -> bytes:
            """Return a whole line.

            `when` is in seconds since the epoch, `severity` is syslog's. Time and process are put in front of the
            text, unless the text is `stamped` with them already.
            """

        def write(self, line: bytes) -> int:
            """Write what can be written now, and return the number of bytes.

            Raises OSError, or its subclass BlockingIOError, if nothing could be written.
            """

        def close(self) -> None:
            """Close what the sink has opened."""


# How many lines wait at most for a log that cannot be written, and the seconds until the next try.
MAX_WAITING = 4096
RETRY_SECONDS = 1.0
# How long the line of a session waits for others.
GATHER_SECONDS = 0.02
# RFC 3164 section 4.1.1: the priority is the facility ("system daemons") times 8, and the severity.
DAEMON = 3
WARNING = 4
INFORMATIONAL = 6
STDERR = 2
# PIPE_BUF of pipe(7): a longer write may be mixed with those of other processes.
_ATOMIC_BYTES = 4096


class Log:
    """Writes lines to `sink`. Must be closed.

    `form` is one of LOG_FORMATS. `lost` is the number of lines that were lost.
    """

    def __init__(self, loop: Loop, sink: LogSink, form: str) -> None:
        self._loop = loop
        self._sink = sink
        self._as_json = form == "json"
        # Sessions whose lines are not made yet, each with the time of its end.
        self._ended: list[tuple[float, Report]] = []
        self._waiting: deque[bytes] = deque()
        # Lost lines whose number is not logged yet.
        self._unreported = 0
        # True while a timer is set: to write the lines of sessions, or to try again after a failure of the sink.
        self._gathering = False
        self._retrying = False
        self.lost = 0

    def for_child(self, loop: Loop) -> Log:
        """Return a log to the same sink, for a forked child. Lines that wait are written by the parent alone."""
        return Log(loop, self._sink, "json" if self._as_json else "text")

    def session(self, report: Report) -> None:
        """Log a session that is over. Its text is made only when it is written, so that other clients wait less."""
        self._ended.append((time(), report))
        if not self._gathering:
            self._gathering = True
            self._loop.after(GATHER_SECONDS, self._gathered)

    def notice(self, message: str) -> None:
        """Log a message to the person who runs the server."""
        self._put_sessions()
        now = time()
        self._put(now, WARNING, _json(now, "notice", {"message": message}) if self._as_json else message)
        if not self._retrying:
            self._flush()

    def close(self) -> None:
        """Write what can be written now, and close the sink. The other lines are lost."""
        self._retrying = False
        self._put_sessions()
        self._flush()
        self._sink.close()

    def _put_sessions(self) -> None:
        ended, self._ended = self._ended, []
        for when, report in ended:
            if self._as_json:
                text = _json(when, "session", {name: getattr(report, name) for name in report._fields})
            else:
                text = line(report)
            self._put(when, INFORMATIONAL, text)

    def _put(self, when: float, severity: int, text: str) -> None:
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(self._sink.frame(when, severity, text, self._as_json))
        else:
            self.lost += 1
            self._unreported += 1

    def _gathered(self) -> None:
        self._gathering = False
        self._put_sessions()
        if not self._retrying:
            self._flush()

    def _flush(self) -> None:
        waiting = self._waiting
        while waiting and not self._retrying:
            lines = self._take_lines()
            try:
                unwritten = lines[self._sink.write(lines) :]
            except OSError:
                unwritten = lines
                self._retry()
            if unwritten:
                waiting.appendleft(unwritten)
        if self._unreported and not waiting:
            unreported, self._unreported = self._unreported, 0
            self.notice(f"{unreported} lines of this log were lost")

    def _take_lines(self) -> bytes:
        """Take as many of the waiting lines as may be written with one call."""
        lines = [self._waiting.popleft()]
        room = self._sink.most_at_once - len(lines[0])
        while self._waiting and (room := room - len(self._waiting[0])) >= 0:
            lines.append(self._waiting.popleft())
        return b"".join(lines)

    def _retry(self) -> None:
        self._retrying = True
        self._loop.after(RETRY_SECONDS, self._try_again)

    def _try_again(self) -> None:
        self._retrying = False
        self._flush()


def _json(when: float, event: str, fields: dict[str, object]) -> str:
    return json.dumps({"time": timestamp(when), "pid": os.getpid(), "event": event, **fields})


def timestamp(when: float) -> str:
    """Return a time, in seconds since the epoch, in the form of RFC 3339: UTC, with milliseconds."""
    return f"{_second(int(when))}.{int(when * 1000) % 1000:03d}Z"


@lru_cache(1)
def _second(when: int) -> str:
    # The text is kept, because thousands of lines may have the same second.
    return strftime("%Y-%m-%dT%H:%M:%S", gmtime(when))


def open_sink(where: str) -> LogSink:
    """Return the sink for `stderr`, `syslog`, or `syslog:PATH` with the path of a syslog's Unix socket."""
    if where == "stderr":
        return DescriptorSink(STDERR)
    return SyslogSink(where.partition(":")[2] or "/dev/log")


class DescriptorSink:
    """The sink that writes to a descriptor, which other processes may share."""

    most_at_once = _ATOMIC_BYTES

    def __init__(self, fd: int) -> None:
        mode = os.fstat(fd).st_mode
        self._socket = _originals.Socket(fileno=os.dup(fd)) if stat.S_ISSOCK(mode) else None
        # A file never blocks for long. If it were opened again, its offset would differ from that of other writers.
        self._own = _reopened(fd) if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) else None
        self._is_foreign_pipe = stat.S_ISFIFO(mode) and self._own is None
        self._fd = fd if self._own is None else self._own

    def frame(self, when: float, severity: int, text: str, stamped: bool) -> bytes:  # noqa: ARG002  # only syslog uses it
        head = "" if stamped else f"{timestamp(when)} sockd[{os.getpid()}]: "
        return f"{head}{text}\n".encode("utf-8", "backslashreplace")

    def write(self, line: bytes) -> int:
        if self._socket is not None:
            return self._socket.send(line, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        return _splice(self._fd, line) if self._is_foreign_pipe else os.write(self._fd, line)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        if self._own is not None:
            os.close(self._own)


class SyslogSink:
    """The syslog of this machine. Each line looks up the socket by its path, because syslog may be restarted."""

    # A datagram is one line.
    most_at_once = 0

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket = _originals.Socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def frame(self, when: float, severity: int, text: str, stamped: bool) -> bytes:  # noqa: ARG002  # syslog always wants the head
        # syslog(3) writes this head to the socket: no host name, and local time.
        head = f"<{DAEMON * 8 + severity}>{strftime('%b %e %H:%M:%S', localtime(when))} sockd[{os.getpid()}]: "
        return f"{head}{text}".encode("utf-8", "backslashreplace")

    def write(self, line: bytes) -> int:
        return self._socket.sendto(line, self._path)

    def close(self) -> None:
        self._socket.close()


def _splice(fd: int, line: bytes) -> int:
    """Write to a pipe through another pipe: write(2) would wait, and splice(2) can be told not to."""
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.splice(reader, fd, os.write(writer, line), flags=os.SPLICE_F_NONBLOCK)
    finally:
        os.close(reader)
        os.close(writer)


def _reopened(fd: int) -> int | None:
    """Return a non-blocking descriptor of the same pipe or terminal; None if it cannot be opened."""
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None
