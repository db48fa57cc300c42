"""Files of the system's, such as /etc/hosts: what they say is kept, and read again when they have changed.

They are looked at once in a second, by whoever asks. A thread that runs an event loop is not to wait for a disk: it
gets what is known, and a short-lived thread looks at the file for the next who asks.
"""

from __future__ import annotations

import os
import sys

from socksify import _real
from socksify._real import monotonic
from socksify.interrupts import ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class SystemFile:
    """The file at a path, as `parse` understands its content; a file that cannot be read is an empty one."""

    # Seconds for which it is not looked at again: every connect() to a name asks.
    _FRESH = 1.0

    def __init__(self, path: str, parse: Callable[[bytes], Any]) -> None:
        self._path = path
        self._parse = parse
        self._found: Any = None
        self._state: object = None
        self._look_at = 0.0

    def read(self) -> Any:
        """What the file says now; on the thread of an event loop, what it said when it was looked at last."""
        now = monotonic()
        if now >= self._look_at:
            if self._state is None or not _runs_loop() or not self._look_elsewhere():
                self._look()
            self._look_at = now + self._FRESH
        return self._found

    def _look_elsewhere(self) -> bool:
        try:
            _real.start_new_thread(self._look, ())
        except ours(RuntimeError):  # no more threads
            return False
        return True

    def _look(self) -> None:
        state = self._looks()
        if state != self._state:
            self._found = self._parse(contents(self._path))
            self._state = state

    def _looks(self) -> object:
        """What is another when the file is another."""
        try:
            found = os.stat(self._path)
        except ours(OSError):
            return "unreadable"
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def contents(path: str) -> bytes:
    """What a file of the system's holds; nothing if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except ours(OSError):
        return b""


def _runs_loop() -> bool:
    """Whether an event loop runs in this thread: one of asyncio's, or uvloop's, which says so to asyncio."""
    asyncio = sys.modules.get("_asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None
