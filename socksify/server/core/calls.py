"""Calls that nobody waits for: the calls of timers, and the calls that other threads hand over to the loop.

An error in one of these calls ends that call only.

A server sets a few timers for each connection, and cancels nearly all of them. All timers of one length share a queue.
They are due in the order in which they were set, so nothing is sorted. A cancelled timer leaves nothing behind.

An error of the server itself is reported as a traceback on standard error. In a program with an embedded server,
standard error may be a file of the program by now. The program may also have closed the server's descriptors, which is
no error of the server.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from errno import EBADF
from math import inf

from socksify._descriptors import Stderr
from socksify._originals import monotonic

Call = Callable[[], object]

_STDERR = Stderr()

# True if the server is embedded in a program. The value stays True until the process ends.
_is_embedded = False


class Timer:
    """A call to be made at `due`, the monotonic clock's time, unless it is cancelled."""

    __slots__ = ("_queue", "call", "due")

    def __init__(self, queue: dict[Timer, None], due: float, call: Call) -> None:
        self._queue = queue
        self.call = call
        self.due = due
        queue[self] = None

    def cancel(self) -> None:
        self._queue.pop(self, None)


class Timers:
    """The timers of one loop. No timer is due before `due`, the monotonic clock's time."""

    def __init__(self) -> None:
        self.due = inf
        self._queues: dict[float, dict[Timer, None]] = {}

    def after(self, seconds: float, call: Call) -> Timer:
        """Return a timer that makes `call` after `seconds`."""
        queue = self._queues.get(seconds)
        if queue is None:
            # Empty queues are removed. Otherwise the queues of lengths that were used once would pile up.
            self._queues = {length: queue for length, queue in self._queues.items() if queue}
            queue = self._queues[seconds] = {}
        due = monotonic() + seconds
        if due < self.due:
            self.due = due
        return Timer(queue, due, call)

    def fire(self, now: float) -> None:
        """Make the calls that are due."""
        while (timer := self._first()) is not None and timer.due <= now:
            timer.cancel()
            call_safely(timer.call)
        # `due` may belong to a timer that was cancelled: one needless wake-up is cheaper than tracking cancellations.
        self.due = inf if timer is None else timer.due

    def _first(self) -> Timer | None:
        """Return the timer that is due first."""
        firsts = [next(iter(queue)) for queue in self._queues.values() if queue]
        return min(firsts, key=lambda timer: timer.due, default=None)


def call_safely(call: Call) -> None:
    """Make a call, and report an exception that it raises."""
    try:
        call()
    except Exception:
        report_error()


def report_error() -> None:
    """Print the traceback of the exception that is being handled. To be called in an `except` clause."""
    error = sys.exc_info()[1]
    is_closed = isinstance(error, OSError) and error.errno == EBADF
    if not _is_embedded or (_STDERR.fd is not None and not is_closed):
        traceback.print_exc()


def note_embedding() -> None:
    """Note that the server is embedded in a program."""
    global _is_embedded
    _is_embedded = True
