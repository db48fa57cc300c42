"""One line for each session that is over, and for what should be known beside; as text or as JSON.

A log that cannot be written (a full disk, a reader that has stopped) is no reason to fail a session, nor to grow:
lines wait up to a bound, are then lost, and their number is told when the log can be written again.

To write is what a short session costs most: so its line waits a little, for others that are then written with it. A
notice does not wait, nor what came before it.
"""

from __future__ import annotations

import json
import os
from collections import deque
from time import time

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
