"""One line for each session that is over, and for what should be known beside; as text or as JSON.

A log that cannot be written (a full disk, a reader that has stopped) is no reason to fail a session, nor to grow:
lines wait up to a bound, are then lost, and their number is told when the log can be written again.
"""

from __future__ import annotations

import json
import os
from collections import deque

from socksify.server.loop import Loop
from socksify.server.outlets import INFORMATIONAL, WARNING, timestamp
from socksify.server.report import line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.server.outlets import Outlet
    from socksify.server.report import Report

FORMATS = ("text", "json")
# Lines that wait for a log that cannot be written; and when to try again, in seconds.
MOST_WAITING = 4096
RETRY_SECONDS = 1.0


class Log:
    """Writes to `outlet` in one of `FORMATS`; to be closed. `lost` is how many lines never came to be written."""

    def __init__(self, loop: Loop, outlet: Outlet, form: str) -> None:
        self._loop = loop
        self._outlet = outlet
        self._as_json = form == "json"
        self._waiting: deque[bytes] = deque()
        self._untold = 0
        self._retrying = False
        self.lost = 0

    def anew(self, loop: Loop) -> Log:
        """The same, in a child that was forked: what waits is the parent's to write."""
        return Log(loop, self._outlet, "json" if self._as_json else "text")

    def session(self, report: Report) -> None:
        """A session is over."""
        if self._as_json:
            text = _object("session", {name: getattr(report, name) for name in report._fields})
        else:
            text = line(report)
        self._put(INFORMATIONAL, text)

    def notice(self, message: str) -> None:
        """What whoever runs the server should know."""
        self._put(WARNING, _object("notice", {"message": message}) if self._as_json else message)

    def close(self) -> None:
        """Whatever cannot be written now will never be."""
        self._flush()
        self._outlet.close()

    def _put(self, severity: int, text: str) -> None:
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(self._outlet.frame(severity, text, self._as_json))
        else:
            self.lost += 1
            self._untold += 1
        if not self._retrying:
            self._flush()

    def _flush(self) -> None:
        waiting = self._waiting
        try:
            while waiting:
                rest = waiting[0][self._outlet.write(waiting[0]) :]
                waiting.popleft()
                if rest:
                    waiting.appendleft(rest)
        except OSError:
            self._retry()
        if self._untold and not waiting:
            untold, self._untold = self._untold, 0
            self.notice(f"{untold} lines of this log were lost")

    def _retry(self) -> None:
        if not self._retrying:
            self._retrying = True
            self._loop.after(RETRY_SECONDS, self._try_again)

    def _try_again(self) -> None:
        self._retrying = False
        self._flush()


def _object(event: str, fields: dict[str, object]) -> str:
    return json.dumps({"time": timestamp(), "pid": os.getpid(), "event": event, **fields})
