"""twisted: its reactor connects, and takes the results of its threads, in later calls without the caller's context.

A call that is scheduled inside a block of `socksify.via()` is made inside that block. So connectTCP(), endpoints and
look-ups use the route of the code that called them. When data arrives, the methods of a protocol run outside of the
block, unless the protocol enters a block itself.
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
    """Wrap the methods that schedule calls, in twisted.internet.base or twisted.python.threadpool."""
    if module.__name__ == "twisted.python.threadpool":
        wrap(journal, module.ThreadPool, "callInThreadWithCallback", _call_in_thread)
    else:
        wrap(journal, module.ReactorBase, "callLater", _call_later)
        if "callFromThread" in vars(module.ReactorBase):  # only on a platform with threads
            wrap(journal, module.ReactorBase, "callFromThread", _call_from_thread)


def _call_later(wrapped: Callable[..., Any], _: object, args: Any, kwargs: Any) -> Any:
    # callLater(seconds, callable, *arguments)
    return wrapped(*args[:1], *map(carried, args[1:2]), *args[2:], **kwargs)


def _call_from_thread(wrapped: Callable[..., Any], _: object, args: Any, kwargs: Any) -> Any:
    return wrapped(*map(carried, args[:1]), *args[1:], **kwargs)


def _call_in_thread(wrapped: Callable[..., Any], _: object, args: Any, kwargs: Any) -> Any:
    # callInThreadWithCallback(on_result or None, callable, *arguments)
    on_result = (carried(each) if each is not None else None for each in args[:1])
    return wrapped(*on_result, *map(carried, args[1:2]), *args[2:], **kwargs)
