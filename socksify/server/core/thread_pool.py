"""Work that takes long, done off the event path: a look-up may wait for a silent name server, a hash is slow.

The threads are few, and one client may ask for more than all of them can do: for a thousand names of a silent server,
or with a thousand wrong passwords. So what clients ask for waits in a row for each of them, the rows take turns, and
nobody has more threads at work than are left for others. Who asks for much holds up itself.

The threads are started with `_thread`: in a program that runs with the embedded server they must neither appear in
`threading.enumerate()` nor be waited for when it ends.
"""

from __future__ import annotations

import _thread
from _queue import SimpleQueue
from collections import deque
from collections.abc import Callable, Hashable
from functools import partial

from socksify.server.core import tracebacks
from socksify.server.core.loop import Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    Result = TypeVar("Result")
    # Whose it is, what is to be done, and who is told what came of it.
    Task = tuple[Hashable, Callable[[], Any], Callable[[Any], object]]

MOST = 16
# How long the end of a thread is waited for.
END_SECONDS = 5.0


class Thread:
    """Runs `run` at once, and can be waited for."""

    def __init__(self, run: Callable[[], object]) -> None:
        self._run = run
        self._running = _thread.allocate_lock()
        self._running.acquire()
        _thread.start_new_thread(self._run_and_tell, ())

    def wait(self) -> None:
        """Returns when it has ended, or is late with that. Calling it twice is harmless."""
        if self._running.acquire(timeout=END_SECONDS):
            self._running.release()

    def _run_and_tell(self) -> None:
        try:
            self._run()
        finally:
            self._running.release()


class Threads:
    """At most `most` threads, started when they are needed, that work and hand what came of it to the loop."""

    def __init__(self, loop: Loop, most: int = MOST) -> None:
        self._loop = loop
        self._most = self._free = most
        self._busy: dict[Hashable, int] = {}
        # In the order of their turns.
        self._rows: dict[Hashable, deque[Task]] = {}
        self._started = 0
        self._work: SimpleQueue[Task | None] = SimpleQueue()

    def run(self, client_key: Hashable, work: Callable[[], Result], answer: Callable[[Result], object]) -> None:
        """Has `answer` called by the loop's thread, which calls this, with what `work` returns.

        Where it raises, which is a mistake, nobody is called.
        """
        self._rows.setdefault(client_key, deque()).append((client_key, work, answer))
        self._hand_out()

    def close(self) -> None:
        """Ends the threads; one that is at work ends after it."""
        self._rows.clear()
        for _ in range(self._started):
            self._work.put(None)

    def _hand_out(self) -> None:
        while (client_key := self._next()) is not None:
            row = self._rows.pop(client_key)
            self._hand(row.popleft())
            if row:
                self._rows[client_key] = row

    def _next(self) -> Hashable | None:
        """Whose turn it is. Those that are passed over are at work, so they are no more than there are threads."""
        return next((client_key for client_key in self._rows if self._busy.get(client_key, 0) < self._free), None)

    def _hand(self, task: Task) -> None:
        client_key = task[0]
        self._free -= 1
        self._busy[client_key] = self._busy.get(client_key, 0) + 1
        if self._most - self._free > self._started:
            self._started += 1
            _thread.start_new_thread(self._run, ())
        self._work.put(task)

    def _over(self, client_key: Hashable, tell: Callable[[], object] | None) -> None:
        self._free += 1
        self._busy[client_key] -= 1
        if not self._busy[client_key]:
            del self._busy[client_key]
        self._hand_out()
        if tell is not None:
            tell()

    def _run(self) -> None:
        while task := self._work.get():
            client_key, work, answer = task
            try:
                tell = partial(answer, work())
            except Exception:
                tracebacks.tell()
                tell = None
            self._loop.call(partial(self._over, client_key, tell))
            # Nothing of it is to live until there is more to do.
            del task, client_key, work, answer, tell
