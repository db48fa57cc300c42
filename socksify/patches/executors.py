"""Executors and pools: what is handed to one inside a block of via() is done by it, in whichever thread or process.

contextvars leave the threads of a pool out, which is why `loop.run_in_executor()` does, and with it the look-ups of
asyncio; `asyncio.to_thread()` copies the context. What an executor does for a task also counts as that task's where
connections are isolated by tasks.

The worker processes of a pool that was made before install() have no patches. So each piece of work that such a pool is
given brings the settings along, and its worker installs them before it reads the work.

A plain new thread begins outside of any block: a thread that a library starts, and keeps, would serve everybody by the
way of the first. Up to Python 3.13 every context variable is like that. Since then a thread may inherit its starter's
context (-X thread_inherit_context, the default of free-threaded builds); it is started outside of the block then. A
context that the program gives a thread itself, as asyncio.to_thread() does, is the program's word.
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

# A class, and where its methods are handed functions that workers call: behind `self`, and by which keyword.
_PROCESSES = ("concurrent.futures.process", "multiprocessing.pool")
EXECUTORS = {
    "concurrent.futures.thread": ("ThreadPoolExecutor", {"__init__": (2, "initializer"), "submit": (0, "")}),
    "concurrent.futures.process": ("ProcessPoolExecutor", {"__init__": (2, "initializer"), "submit": (0, "")}),
    # ThreadPool inherits them; its other methods come down to these.
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
    """See to the executors that are imported, and to the others when they are, until the journal is undone."""
    for module, (name, methods) in EXECUTORS.items():
        journal.on_undo(when_imported(module, partial(_adapt, journal, name, methods)))
    if getattr(sys.flags, "thread_inherit_context", 0):
        journal.on_undo(when_imported("threading", partial(_adapt_threads, journal)))


def carried(call: Any) -> Any:
    """The call, to be made elsewhere, and to go the way that is in force here."""
    way, share = scope.entered(), _share()
    return call if way is None and share is None else _Work(way, share, call)


def _adapt(journal: Journal, name: str, methods: dict[str, tuple[int, str]], module: ModuleType) -> None:
    executor = getattr(module, name)
    # Executors that are made from now on; their workers are covered from their start.
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
    """The method, which hands workers the function it is given as `carried()`.

    `covered` are the executors whose worker processes have our patches, None where there are no such processes.
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
        # Workers that are made now, and in a process of their own inherit the context, will work for others, too.
        owner = object()
        scope.enter(owner, None)
        try:
            return original(self, *args, **kwargs)
        finally:
            scope.leave(owner)

    return method


def _share() -> bytes | None:
    """What stands for the task that hands work over, where it matters here, or may matter in a via() of the work's."""
    if scope.current().settings.isolate != "task" and "socksify.routing.stream_isolation" not in sys.modules:
        return None
    from socksify.routing import stream_isolation

    return stream_isolation.key_of_task()


class _ForUncovered:
    """Work for processes that were started before install(): pickled, it brings the settings along."""

    __slots__ = ("_call",)

    def __init__(self, call: Any) -> None:
        self._call = call

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        from socksify.patches.children import spawn_message

        # What is unpickled first installs. The worker may not have our package on its path before that.
        return getitem, ((spawn_message.message("a worker that was started before install()"), self._call), 1)


class _Work:
    """A piece of work, to be done in a worker as who handed it over would. Its repr shows no password."""

    __slots__ = ("_fn", "_share", "_way")

    def __init__(self, way: scope.Way | None, share: bytes | None, fn: Any) -> None:
        self._way = way
        self._share = share
        self._fn = fn

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Raises RuntimeError where nothing is routed."""
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
