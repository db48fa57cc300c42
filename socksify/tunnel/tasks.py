"""The running task: asyncio's or trio's, whichever of them this thread is in, or a green thread.

A connection may be made by a task of a library's own: trio, and anyio on either, try each address in one, and up to
Python 3.11 `asyncio.wait_for()` runs in one whatever it waits for. Such a task counts as the one that wanted it.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# By their names.
_ATTEMPTS = (".open_tcp_stream.<locals>.attempt_connect", ".connect_tcp.<locals>.try_connect")


def current() -> object | None:
    """The task, which can be hashed and referred to weakly; None outside of any."""
    # Nobody is in a task of what was not imported.
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and hasattr(asyncio, "current_task") and asyncio._get_running_loop() is not None:
        task = asyncio.current_task()
        if task is not None:
            return _asyncio(task)
    trio = sys.modules.get("trio")
    task = _trio(trio) if trio is not None else None
    return task if task is not None else _green_thread()


def _asyncio(task: Any) -> object:
    while (wanting := _wanting(task)) is not None:
        task = wanting
    wanted: object = task
    return wanted


def _wanting(task: Any) -> Any:
    """The asyncio task that has another one do its work, None if that works for itself."""
    tasks = sys.modules["asyncio"].all_tasks
    if task.get_name().endswith(_ATTEMPTS):
        parent = sys.modules["anyio"].get_current_task().parent_id
        return next((each for each in tasks() if id(each) == parent), None)
    for call, _ in getattr(task, "_callbacks", None) or ():
        if getattr(getattr(call, "func", None), "__name__", "") == "_release_waiter":
            # wait_for() has its own task wait for a future that is set when this one is done.
            return next((each for each in tasks() if getattr(each, "_fut_waiter", None) is call.args[0]), None)
    return None


def _trio(trio: Any) -> object | None:
    try:
        task = trio.lowlevel.current_task()
    except (AttributeError, RuntimeError):  # in the middle of its import; not in a task
        return None
    while task.name.endswith(_ATTEMPTS) and task.parent_nursery is not None:
        task = task.parent_nursery.parent_task
    found: object = task
    return found


def _green_thread() -> object | None:
    """The greenlet, of gevent's, eventlet's or whoever's; None in the one that the thread began with."""
    getcurrent = getattr(sys.modules.get("greenlet"), "getcurrent", None)
    greenlet = getcurrent() if getcurrent is not None else None
    return greenlet if greenlet is not None and greenlet.parent is not None else None
