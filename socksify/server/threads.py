"""Work that takes long, done off the event path: a look-up may wait for a silent name server, a hash is slow.

The threads are started with `_thread`: in a program that runs with the embedded server they must neither appear in
`threading.enumerate()` nor be waited for when it ends.
"""

from __future__ import annotations

import _thread
from _queue import SimpleQueue
from collections.abc import Callable
from functools import partial

from socksify.server.loop import Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    Result = TypeVar("Result")

MOST = 8


class Threads:
    """A few threads, started when they are first needed, that work and hand what came of it to the loop."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._started = 0
        self._work: SimpleQueue[tuple[Callable[[], Any], Callable[[Any], object]] | None] = SimpleQueue()

    def run(self, work: Callable[[], Result], answer: Callable[[Result], object]) -> None:
        """Has `answer` called by the loop's thread with what `work` returns, which must not raise."""
        if self._started < MOST:
            self._started += 1
            _thread.start_new_thread(self._run, ())
        self._work.put((work, answer))

    def close(self) -> None:
        """Ends the threads; one that is at work ends after it."""
        for _ in range(self._started):
            self._work.put(None)

    def _run(self) -> None:
        while task := self._work.get():
            work, answer = task
            result = work()
            self._loop.call(partial(answer, result))
            # Nothing of it is to live until there is more to do.
            del task, work, answer, result
