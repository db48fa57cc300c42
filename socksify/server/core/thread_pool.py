"""Threads for work that takes long: a look-up may wait for a silent name server, a password hash is slow on purpose.

There are few threads, and one client can ask for more than all of them can do: for a thousand names of a silent server,
or with a thousand wrong passwords. So each client has a queue, and the queues take turns. No client has more threads at
work than are free for the other clients. A client that asks for much delays only itself.

The threads are started with `_thread`: in a program that runs the embedded server they must neither appear in
`threading.enumerate()` nor be waited for when the program ends.
"""

from __future__ import annotations

import _thread
from _queue import SimpleQueue
from collections import deque
from collections.abc import Callable, Hashable
from functools import partial

from socksify.server.core.calls import report_error
from socksify.server.core.loop import Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    Result = TypeVar("Result")
    # The client's key, the work, and the function that takes its result.
    Task = tuple[Hashable, Callable[[], Any], Callable[[Any], object]]

MAX_THREADS = 16
# How long `Thread.wait` waits at most.
END_SECONDS = 5.0


class Thread:
    """Runs `run` at once in a new thread. Raises RuntimeError if there is no thread left."""

    def __init__(self, run: Callable[[], object]) -> None:
        self._run = run
        self._running = _thread.allocate_lock()
        self._running.acquire()
        _thread.start_new_thread(self._run_and_release, ())

    def wait(self) -> None:
        """Return when the thread has ended, or after END_SECONDS. A second call is allowed."""
        if self._running.acquire(timeout=END_SECONDS):
            self._running.release()

    def _run_and_release(self) -> None:
        try:
            self._run()
        finally:
            self._running.release()


class Threads:
    """At most `most` threads that do work and hand the results to the loop. Each is started when it is first needed."""

    def __init__(self, loop: Loop, most: int = MAX_THREADS) -> None:
        self._loop = loop
        self._most = self._free = most
        # How many threads work for each client.
        self._busy: dict[Hashable, int] = {}
        # The queues of the clients that wait, in the order of their turns.
        self._queues: dict[Hashable, deque[Task]] = {}
        self._started = 0
        self._work: SimpleQueue[Task | None] = SimpleQueue()

    def run(self, client_key: Hashable, work: Callable[[], Result], answer: Callable[[Result], object]) -> None:
        """Run `work` in a thread, and have the loop's thread call `answer` with the result.

        The loop's thread calls this. Tasks with the same `client_key` share one queue. If `work` raises an exception,
        which is an error of the server, it is reported, and `answer` is not called.
        """
        self._queues.setdefault(client_key, deque()).append((client_key, work, answer))
        self._start_tasks()

    def close(self) -> None:
        """End the threads. A thread at work ends after its task."""
        self._queues.clear()
        for _ in range(self._started):
            self._work.put(None)

    def _start_tasks(self) -> None:
        while (client_key := self._next_client()) is not None:
            queue = self._queues.pop(client_key)
            self._start_task(queue.popleft())
            if queue:
                self._queues[client_key] = queue

    def _next_client(self) -> Hashable | None:
        """Return the key of the client whose turn it is, or None if no client may have a thread now.

        A client that is passed over has a thread at work. So there are at most as many such clients as threads.
        """
        return next((key for key in self._queues if self._busy.get(key, 0) < self._free), None)

    def _start_task(self, task: Task) -> None:
        client_key = task[0]
        self._free -= 1
        self._busy[client_key] = self._busy.get(client_key, 0) + 1
        if self._most - self._free > self._started:
            self._started += 1
            _thread.start_new_thread(self._run, ())
        self._work.put(task)

    def _finished(self, client_key: Hashable, answer: Callable[[], object] | None) -> None:
        self._free += 1
        self._busy[client_key] -= 1
        if not self._busy[client_key]:
            del self._busy[client_key]
        self._start_tasks()
        if answer is not None:
            answer()

    def _run(self) -> None:
        while task := self._work.get():
            client_key, work, answer = task
            try:
                call = partial(answer, work())
            except Exception:
                report_error()
                call = None
            self._loop.call(partial(self._finished, client_key, call))
            # A thread that waits for the next task keeps nothing of this one alive.
            del task, client_key, work, answer, call
