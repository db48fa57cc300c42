"""Calls to be made later. A server sets a few for each connection, and cancels nearly all of them.

They are kept by length: those of one length are due in the order in which they were set, so that nothing is sorted, and
one that was cancelled leaves nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from socksify._originals import monotonic
from socksify.server.core import tracebacks

Call = Callable[[], object]


class Timer:
    """A call to be made later, unless it is cancelled."""

    __slots__ = ("_queue", "call", "due")

    def __init__(self, queue: dict[Timer, None], due: float, call: Call) -> None:
        self._queue = queue
        self.call = call
        self.due = due
        queue[self] = None

    def cancel(self) -> None:
        self._queue.pop(self, None)


class Timers:
    """Those of one loop. None of them is due before `due`, the monotonic clock's time."""

    def __init__(self) -> None:
        self.due = inf
        self._queues: dict[float, dict[Timer, None]] = {}

    def after(self, seconds: float, call: Call) -> Timer:
        queue = self._queues.get(seconds)
        if queue is None:
            # Lengths that were used once are not to pile up.
            self._queues = {length: queue for length, queue in self._queues.items() if queue}
            queue = self._queues[seconds] = {}
        due = monotonic() + seconds
        if due < self.due:
            self.due = due
        return Timer(queue, due, call)

    def fire(self, now: float) -> None:
        """Makes the calls that are due."""
        while (timer := self._next()) is not None and timer.due <= now:
            timer.cancel()
            make(timer.call)
        # Of those that were cancelled meanwhile nothing was noticed: to wake up for one costs less.
        self.due = inf if timer is None else timer.due

    def _next(self) -> Timer | None:
        """The timer that is due first."""
        firsts = [next(iter(queue)) for queue in self._queues.values() if queue]
        return min(firsts, key=lambda timer: timer.due, default=None)


def make(call: Call) -> None:
    """Makes a call that nobody waits for: a mistake in it must end nothing else."""
    try:
        call()
    except Exception:
        tracebacks.tell()
