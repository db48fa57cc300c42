"""The running task: asyncio's or trio's, whichever of them this thread is in.

A connection may be tried by tasks of a library's own, one for each address (trio, and anyio on either): they count as
the task that wanted the connection.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# The coroutines of those tasks.
_ATTEMPTS = ("open_tcp_stream.<locals>.attempt_connect", "connect_tcp.<locals>.try_connect")


def current() -> object | None:
    """The task, which can be hashed and referred to weakly; None outside of any."""
    # Nobody is in a task of what was not imported.
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and hasattr(asyncio, "current_task") and asyncio._get_running_loop() is not None:
        task = asyncio.current_task()
        if task is not None:
            return _wanting(task)
    trio = sys.modules.get("trio")
    return _trio(trio) if trio is not None else None


def _wanting(task: Any) -> object:
    """The asyncio task that has anyio try addresses in others."""
    anyio = sys.modules.get("anyio")
    if anyio is None or not _is_attempt(task.get_coro()):
        return task
    parent = anyio.get_current_task().parent_id
    running: set[object] = sys.modules["asyncio"].all_tasks()
    return next((each for each in running if id(each) == parent), task)


def _trio(trio: Any) -> object | None:
    try:
        task = trio.lowlevel.current_task()
    except (AttributeError, RuntimeError):  # in the middle of its import; not in a task
        return None
    while _is_attempt(task.coro) and task.parent_nursery is not None:
        task = task.parent_nursery.parent_task
    found: object = task
    return found


def _is_attempt(coroutine: Any) -> bool:
    return getattr(coroutine, "__qualname__", "").endswith(_ATTEMPTS)
