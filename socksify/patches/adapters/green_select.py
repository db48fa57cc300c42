"""select() of gevent and of eventlet: the stdlib's, but it is the hub that waits, and green threads run meanwhile."""

from __future__ import annotations

from inspect import signature

from socksify._real import monotonic
from socksify.patches import waiting
from socksify.tunnel.readiness import Clock
from socksify.tunnel.registry import unsettled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def select(wrapped: Callable[..., waiting.Lists], _: object, args: Any, kwargs: Any) -> waiting.Lists:
    """The wrapper of either."""
    if not unsettled:
        return wrapped(*args, **kwargs)
    started = monotonic()
    given = signature(wrapped).bind(*args, **kwargs)
    given.apply_defaults()
    rlist, wlist, xlist, timeout = given.args
    return waiting.select_by(wrapped, rlist, wlist, xlist, Clock(timeout, started))
