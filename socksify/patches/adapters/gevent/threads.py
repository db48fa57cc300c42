"""gevent's pool of threads, to which its resolver and its users hand work: inside a via() it is done inside that."""

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
    """Wrap what all its other methods hand work over by."""
    wrap(journal, module.ThreadPool, "spawn", _spawn)


def _spawn(wrapped: Callable[..., Any], _: object, args: Any, kwargs: Any) -> Any:
    return wrapped(*map(carried, args[:1]), *args[1:], **kwargs)
