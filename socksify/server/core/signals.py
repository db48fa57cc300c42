"""Signals as events of the loop.

Python runs a signal's handler between two bytecodes. A signal that arrives just before epoll_wait(2) begins would be
handled only when epoll_wait(2) returns. So the interpreter's own handler in C writes the signal's number into a pipe
(signal.set_wakeup_fd), and the loop watches the pipe. The handlers in Python do nothing.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from socksify.server.core.calls import call_safely
from socksify.server.core.loop import READABLE, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# How many signals are read at once.
PIECE = 512


class Signals:
    """Makes the loop call functions when signals arrive. Must be closed.

    Only the main thread can make a `Signals`, and only one may exist at a time.
    """

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._calls: dict[int, Callable[[], object]] = {}
        self._before: dict[int, Any] = {}
        self._read_fd, self._write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        loop.watch(self._read_fd, READABLE, self._caught)
        # A full pipe holds thousands of signals, so one more changes nothing.
        signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)

    def handle(self, number: int, call: Callable[[], object]) -> None:
        """Call `call` for each signal `number` from now on. Signals that arrive at once may cause one call only."""
        self._calls[number] = call
        before = signal.signal(number, _nothing)
        self._before.setdefault(number, before)

    def close(self) -> None:
        self._loop.watch(self._read_fd, 0, self._caught)
        self.abandon()

    def abandon(self) -> None:
        """Close this object in a forked child, where the loop belongs to the parent."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        os.close(self._read_fd)
        os.close(self._write_fd)

    def _caught(self, _fd: int, _events: int) -> None:
        for number in os.read(self._read_fd, PIECE):
            if number in self._calls:
                # An exception would make the loop give up the pipe, and no signal could end the server any more.
                call_safely(self._calls[number])


def _nothing(_number: int, _frame: object) -> None:
    pass
