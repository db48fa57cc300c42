"""twisted: its reactor connects, and hears from its threads, in calls of its own, without the context of the caller.

What is put off inside a block of `socksify.via()` is done in it all the same: so connectTCP(), endpoints and look-ups
go the way of who asked for them. What a protocol does when data arrives is outside, unless it enters a block itself.
"""

from __future__ import annotations

from socksify.patches.adapters import wrap
from socksify.patches.executors import carried

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from socksify.patches.journal import Journal


def patch(module: ModuleType, journal: Journal) -> None:
    """Wrap what puts off, in twisted.internet.base and twisted.python.threadpool."""
    if module.__name__ == "twisted.python.threadpool":
        wrap(journal, module.ThreadPool, "callInThreadWithCallback", _call_in_thread)
    else:
        wrap(journal, module.ReactorBase, "callLater", _call_later)
        if "callFromThread" in vars(module.ReactorBase):  # of a platform with threads
            wrap(journal, module.ReactorBase, "callFromThread", _call_from_thread)


def _call_later(wrapped: Callable[..., Any], _: object, args: Any, kwargs: Any) -> Any:
    # (seconds, what, its arguments...)
    return wrapped(*args[:1], *map(carried, args[1:2]), *args[2:], **kwargs)


def _call_from_thread(wrapped: Callable[..., Any], _: object, args: Any, kwargs: Any) -> Any:
    return wrapped(*map(carried, args[:1]), *args[1:], **kwargs)


def _call_in_thread(wrapped: Callable[..., Any], _: object, args: Any, kwargs: Any) -> Any:
    # (who hears of the result, or None; what; its arguments...)
    hears = (carried(each) if each is not None else None for each in args[:1])
    return wrapped(*hears, *map(carried, args[1:2]), *args[2:], **kwargs)
