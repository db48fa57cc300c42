"""Signals as events of the loop.

Python runs a handler between two bytecodes: a signal that comes just before epoll_wait(2) begins would be heard only
when that returns. So the interpreter's own C handler writes the signal's number into a pipe (signal.set_wakeup_fd),
which the loop watches; the handlers in Python do nothing.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable

from socksify.server.core.loop import READABLE, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PIECE = 512


class Signals:
    """Has the loop make the calls that belong to signals; one object at a time, of the main thread. To be closed."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._calls: dict[int, Callable[[], object]] = {}
        self._before: dict[int, Any] = {}
        self._read_fd, self._write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        loop.watch(self._read_fd, READABLE, self._caught)
        # A full pipe holds thousands of signals that are told already.
        signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)

    def obey(self, number: int, call: Callable[[], object]) -> None:
        """Has `call` made for each of these signals from now on; several at once may be one."""
        self._calls[number] = call
        before = signal.signal(number, _nothing)
        self._before.setdefault(number, before)

    def close(self) -> None:
        self._loop.watch(self._read_fd, 0, self._caught)
        self.abandon()

    def abandon(self) -> None:
        """`close`, in a forked child: the loop is the parent's."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
        os.close(self._read_fd)
        os.close(self._write_fd)

    def _caught(self, _fd: int, _events: int) -> None:
        for number in os.read(self._read_fd, PIECE):
            if number in self._calls:
                _make(self._calls[number])


def _make(call: Callable[[], object]) -> None:
    try:
        call()
    except Exception:
        # The loop gives up a descriptor whose handler raises, and nobody could end the server any more.
        traceback.print_exc()


def _nothing(_number: int, _frame: object) -> None:
    pass
