"""gevent's thread pool: a function that is given to the pool inside a block of via() runs inside that block.

gevent's own resolver and programs use the pool.
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
    """Wrap spawn(), which all other methods of the pool call."""
    wrap(journal, module.ThreadPool, "spawn", _spawn)


def _spawn(wrapped: Callable[..., Any], _: object, args: Any, kwargs: Any) -> Any:
    return wrapped(*map(carried, args[:1]), *args[1:], **kwargs)
