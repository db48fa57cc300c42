"""Stream isolation: it decides which connections Tor may send through the same circuit.

Tor gives streams different circuits if they have different users and passwords ("IsolateSOCKSAuth", tor(1)). Any text
is accepted. This module generates them: a digest of the isolation key, which the connections of one circuit have in
common, and of a random secret of the process. Therefore the credentials reveal nothing, no table of them is needed, and
two processes never share a circuit, not even a forked child and its parent.

The running task is asyncio's or trio's, if this thread is in one, or a green thread. Some libraries make a connection
in a task of their own: trio, and anyio on either loop, try each address in one, and up to Python 3.11
`asyncio.wait_for()` runs its coroutine in one. Such a task counts as the task that asked for the connection.
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

# The isolation keys of tasks. An entry disappears together with its task.
_of_tasks: WeakKeyDictionary[object, bytes] = WeakKeyDictionary()
# The isolation key of a thread, and the identity of that thread: contexts are copied to other threads.
_thread_key: ContextVar[tuple[object, bytes] | None] = ContextVar("socksify.isolation", default=None)

# The names of the libraries' own tasks.
_ATTEMPTS = (".open_tcp_stream.<locals>.attempt_connect", ".connect_tcp.<locals>.try_connect")


class _Thread(_local):
    """The state of one thread: its identity, and the key of the task for which it works, if any."""

    def __init__(self) -> None:
        self.identity = object()
        self.borrowed: bytes | None = None

    def borrow(self, key: bytes | None) -> bytes | None:
        """Replace the key, and return the one before."""
        before, self.borrowed = self.borrowed, key
        return before


_thread = _Thread()


def isolated(route: Via, by: str, process: int | None = None, task: bytes | None = None) -> Via:
    """Return the route with generated credentials. It shares them with the connections of its circuit.

    `by` selects the connections of a circuit: "host" (the same target host), "task" (the same task), or "connection"
    (this connection alone). Credentials that the configuration gives to the last proxy are kept. The connection is one
    of this process and of the running task, unless another `process` is given, and the isolation key of its `task`.
    """
    last = route.chain[-1]
    if last.user is not None:
        return route
    if by == "host":
        key = fold(route.target.host).encode()
    elif by == "task":
        key = key_of_task() if task is None else task
    else:
        key = os.urandom(16)
    digest = blake2b(digest_size=16, key=_SECRET)
    for part in (str(process or os.getpid()).encode(), by.encode(), last.address.encode(), key):
        digest.update(len(part).to_bytes(4, "big") + part)
    changed: Via = route.replace(isolation=digest.hexdigest().encode())
    return changed


def key_of_task() -> bytes:
    """Return the isolation key of the running task, green thread or else thread.

    A worker of an executor has the key of the task that submitted the work, see `work_for`.
    """
    task = current()
    if task is not None:
        # setdefault() is atomic, so two threads may call it at once, each for its own task.
        return _of_tasks.setdefault(task, os.urandom(16))
    return _thread.borrowed if _thread.borrowed is not None else _key_of_thread()


def work_for(key: bytes | None) -> bytes | None:
    """Let this worker use the isolation key of another task, or with None its own one. Return the key before.

    If the workers are green threads, only the running one is changed.
    """
    task = current()
    if task is None:
        return _thread.borrow(key)
    before = _of_tasks.pop(task, None)
    if key is not None:
        _of_tasks[task] = key
    return before


def _key_of_thread() -> bytes:
    """Return the isolation key of this thread.

    If a library runs the context of a task in one of its own threads, the key in that context is used. Two tasks that
    use the worker threads of trio or anyio are therefore never mixed, even if their work runs in the same thread.
    """
    held = _thread_key.get()
    if held is None or held[0] is not _thread.identity:
        held = _thread.identity, os.urandom(16)
        _thread_key.set(held)
    return held[1]


def current() -> object | None:
    """Return the running task, or None. Tasks can be hashed and referred to weakly."""
    # A library that was not imported has no tasks.
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and hasattr(asyncio, "current_task") and asyncio._get_running_loop() is not None:
        task = asyncio.current_task()
        if task is not None:
            return _of_asyncio(task)
    trio = sys.modules.get("trio")
    task = _of_trio(trio) if trio is not None else None
    return task if task is not None else _green_thread()


def _of_asyncio(task: Any) -> object:
    while (waiting := _waiting_task(task)) is not None:
        task = waiting
    found: object = task
    return found


def _waiting_task(task: Any) -> Any:
    """Return the asyncio task that waits for `task`, a helper task of a library; None if `task` is not a helper."""
    tasks = sys.modules["asyncio"].all_tasks
    if task.get_name().endswith(_ATTEMPTS):
        parent = sys.modules["anyio"].get_current_task().parent_id
        return next((each for each in tasks() if id(each) == parent), None)
    for call, _ in getattr(task, "_callbacks", None) or ():
        if getattr(getattr(call, "func", None), "__name__", "") == "_release_waiter":
            # In wait_for(), the calling task waits for a future, which is set when this task is done.
            return next((each for each in tasks() if getattr(each, "_fut_waiter", None) is call.args[0]), None)
    return None


def _of_trio(trio: Any) -> object | None:
    try:
        task = trio.lowlevel.current_task()
    except (AttributeError, RuntimeError):  # trio is being imported; this thread is in no task
        return None
    while task.name.endswith(_ATTEMPTS) and task.parent_nursery is not None:
        task = task.parent_nursery.parent_task
    found: object = task
    return found


def _green_thread() -> object | None:
    """Return the greenlet (gevent's, eventlet's or another one); None in the main greenlet of a thread."""
    getcurrent = getattr(sys.modules.get("greenlet"), "getcurrent", None)
    greenlet = getcurrent() if getcurrent is not None else None
    return greenlet if greenlet is not None and greenlet.parent is not None else None
