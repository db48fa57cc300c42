"""Isolation: which connections Tor may send through one circuit.

Tor gives streams circuits of their own where they come with another user and password ("IsolateSOCKSAuth", tor(1)),
whatever these are. They are made up here: a digest, keyed by a secret that is drawn in each process, of whatever the
connections that may share a circuit have in common. So they tell nobody what that is, nothing has to be remembered,
and no two processes have one in common, a forked child and its parent neither.
"""

from __future__ import annotations

import os
import sys
from _contextvars import ContextVar
from _thread import _local
from hashlib import blake2b
from weakref import WeakKeyDictionary

from socksify.config.ip import fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from socksify.routing.route import Via

_SECRET = os.urandom(32)

# A task's share; it goes with the task.
_of_tasks: WeakKeyDictionary[object, bytes] = WeakKeyDictionary()
# What was made up for a thread, and which thread that is: contexts are copied to other threads.
_of_thread: ContextVar[tuple[object, bytes] | None] = ContextVar("socksify.isolation", default=None)
_thread = _local()


def isolated(route: Via, by: str) -> Via:
    """The route with credentials that it shares with others `by` the same `host`, `task` or `connection` only.

    A last proxy that has been given some by the configuration keeps them.
    """
    last = route.chain[-1]
    if last.user is not None:
        return route
    if by == "host":
        share = fold(route.target.host).encode()
    elif by == "task":
        share = share_of_task()
    else:
        share = os.urandom(16)
    digest = blake2b(digest_size=16, key=_SECRET)
    for part in (str(os.getpid()).encode(), by.encode(), last.address.encode(), share):
        digest.update(len(part).to_bytes(4, "big") + part)
    with_it: Via = route.replace(isolation=digest.hexdigest().encode())
    return with_it


def share_of_task() -> bytes:
    """What all connections of the running task have in common: one of asyncio or trio, a green thread, else the thread.

    Work that an executor does counts as that of whoever handed it over, see `on_behalf`.
    """
    task = current()
    if task is not None:
        # Atomic, should two threads ask: of one task they do not.
        return _of_tasks.setdefault(task, os.urandom(16))
    behalf: bytes | None = getattr(_thread, "behalf", None)
    return behalf if behalf is not None else _share_of_thread()


def on_behalf(share: bytes | None) -> bytes | None:
    """What runs here works on behalf of somebody else, or with None for itself again; returns for whom it did before.

    Workers may be green threads, of which the others work for themselves meanwhile.
    """
    task = current()
    if task is None:
        before: bytes | None = getattr(_thread, "behalf", None)
        _thread.behalf = share
        return before
    before = _of_tasks.pop(task, None)
    if share is not None:
        _of_tasks[task] = share
    return before


def _share_of_thread() -> bytes:
    """A thread's own share; in a context that is another task's, which a library runs in its own threads, that one's.

    So what two tasks have trio's or anyio's worker threads do is never mixed, though the thread is the same.
    """
    if not hasattr(_thread, "itself"):
        _thread.itself = object()
    held = _of_thread.get()
    if held is None or held[0] is not _thread.itself:
        held = _thread.itself, os.urandom(16)
        _of_thread.set(held)
    return held[1]


# The running task: asyncio's or trio's, whichever of them this thread is in, or a green thread.
#
# A connection may be made by a task of a library's own: trio, and anyio on either, try each address in one, and up to
# Python 3.11 `asyncio.wait_for()` runs in one whatever it waits for. Such a task counts as the one that wanted it.


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
