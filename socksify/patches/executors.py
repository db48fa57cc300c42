"""Executors and pools: work that is submitted inside a via() block takes the block's route in every thread and process.

Threads of a pool do not get the context of the submitter. Therefore `loop.run_in_executor()` would lose a via() block,
and the look-ups of asyncio would lose it, too; `asyncio.to_thread()` copies the context. If connections are isolated by
tasks, work that a task submits uses the isolation key of that task.

Worker processes of a pool that was made before install() have no patches. Therefore each piece of work for such a pool
contains the settings, and the worker installs them before it reads the work.

A plain new thread begins outside of every block. A library may start a thread inside a block and keep it, and that
thread would use the block's route for all later work. Up to Python 3.13 no context variable is inherited by a thread.
Since then a thread may inherit the context of its starter (-X thread_inherit_context, the default of free-threaded
builds). Such a thread is started outside of the block. If a program itself gives a context to a thread, as
asyncio.to_thread() does, that context is kept.
"""

from __future__ import annotations

import sys
from _operator import getitem
from functools import partial

from socksify.patches import scope
from socksify.patches.journal import Replacement
from socksify.patches.post_import import when_imported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from socksify.patches.journal import Journal

# By module: a class, and for each of its methods the position (after `self`) and the keyword of the function that
# workers call.
_PROCESSES = ("concurrent.futures.process", "multiprocessing.pool")
EXECUTORS = {
    "concurrent.futures.thread": ("ThreadPoolExecutor", {"__init__": (2, "initializer"), "submit": (0, "")}),
    "concurrent.futures.process": ("ProcessPoolExecutor", {"__init__": (2, "initializer"), "submit": (0, "")}),
    # ThreadPool inherits these methods. The other methods call them.
    "multiprocessing.pool": (
        "Pool",
        {
            "__init__": (1, "initializer"),
            "apply_async": (0, "func"),
            "_map_async": (0, "func"),
            "imap": (0, "func"),
            "imap_unordered": (0, "func"),
        },
    ),
}


def carry(journal: Journal) -> None:
    """Change the executors, at once or when their modules are imported, until the journal is undone."""
    for module, (name, methods) in EXECUTORS.items():
        journal.on_undo(when_imported(module, partial(_adapt, journal, name, methods)))
    if getattr(sys.flags, "thread_inherit_context", 0):
        journal.on_undo(when_imported("threading", partial(_adapt_threads, journal)))


def carried(call: Any) -> Any:
    """Return a callable that calls `call`, in another thread or process, inside the via() block of this context."""
    way, share = scope.entered(), _share()
    return call if way is None and share is None else _Work(way, share, call)


def _adapt(journal: Journal, name: str, methods: dict[str, tuple[int, str]], module: ModuleType) -> None:
    executor = getattr(module, name)
    # The executors that are made from now on. Their workers have the patches from the start.
    covered: Any = None
    if module.__name__ in _PROCESSES:
        from _weakrefset import WeakSet

        covered = WeakSet()
    for method, (place, keyword) in methods.items():
        journal.apply(Replacement(executor, method, _carrying(getattr(executor, method), place, keyword, covered)))


def _adapt_threads(journal: Journal, module: ModuleType) -> None:
    original = module.Thread.start

    def start(self: Any) -> None:
        if self._context is not None or scope.entered() is None:
            original(self)
            return
        owner = object()
        scope.enter(owner, None)
        try:
            original(self)
        finally:
            scope.leave(owner)

    journal.apply(Replacement(module.Thread, "start", start))


def _carrying(original: Callable[..., Any], place: int, keyword: str, covered: Any) -> Callable[..., Any]:
    """Return a method that gives its function to workers as `carried()`.

    `covered` are the executors whose worker processes have the patches; None if the workers are threads.
    """
    begins = original.__name__ == "__init__"

    def method(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        work = args[place] if len(args) > place else kwargs.get(keyword)
        call = work if work is None else carried(work)
        if covered is not None:
            if begins:
                covered.add(self)
            elif work is not None and self not in covered:
                call = _ForUncovered(call)
        if call is not work:
            if len(args) > place:
                args = *args[:place], call, *args[place + 1 :]
            else:
                kwargs[keyword] = call
        if scope.entered() is None:
            return original(self, *args, **kwargs)
        # Worker processes that are started now inherit the context, but they will work for other callers, too.
        owner = object()
        scope.enter(owner, None)
        try:
            return original(self, *args, **kwargs)
        finally:
            scope.leave(owner)

    return method


def _share() -> bytes | None:
    """Return the isolation key of the current task; None if no connection is isolated by task."""
    if scope.current().settings.isolate != "task" and "socksify.routing.stream_isolation" not in sys.modules:
        return None
    from socksify.routing import stream_isolation

    return stream_isolation.key_of_task()


class _ForUncovered:
    """Work for processes that were started before install(). Its pickle contains the settings."""

    __slots__ = ("_call",)

    def __init__(self, call: Any) -> None:
        self._call = call

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        from socksify.patches.children import spawn_message

        # Unpickling the first object installs socksify. Before that the worker may not find this package.
        return getitem, ((spawn_message.message("a worker that was started before install()"), self._call), 1)


class _Work:
    """A piece of work that a worker does in the via() block of its submitter. The repr shows no password."""

    __slots__ = ("_fn", "_share", "_way")

    def __init__(self, way: scope.Way | None, share: bytes | None, fn: Any) -> None:
        self._way = way
        self._share = share
        self._fn = fn

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Raise RuntimeError if nothing is installed in the worker."""
        if not scope.installed.is_known:
            raise RuntimeError("socksify is not installed in the process to which work from inside a via() has come")
        scope.enter(self, self._way)
        try:
            return self._fn(*args, **kwargs) if self._share is None else self._as_task(args, kwargs)
        finally:
            scope.leave(self)

    def _as_task(self, args: Any, kwargs: Any) -> Any:
        from socksify.routing import stream_isolation

        before = stream_isolation.work_for(self._share)
        try:
            return self._fn(*args, **kwargs)
        finally:
            stream_isolation.work_for(before)
