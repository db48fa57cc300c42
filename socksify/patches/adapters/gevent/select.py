"""gevent.select and gevent.selectors: the functions that wait for several sockets at once."""

from __future__ import annotations

import sys
from math import ceil
from selectors import EVENT_READ, EVENT_WRITE

from socksify.patches import polling
from socksify.patches.adapters import external_loops, wrap, wrap_everywhere

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from socksify.patches.journal import Journal

# Events of gevent's poll objects.
_IN, _OUT = 1, 4


def patch(module: ModuleType, journal: Journal) -> None:
    """Wrap select() and poll() of gevent.select, or select() of the selector in gevent.selectors."""
    if module.__name__ == "gevent.select":
        wrap_everywhere(journal, module, {"select": external_loops.select, "poll": _poll})
    else:
        wrap(journal, module.GeventSelector, "select", _select_by_selector)


def _poll(wrapped: Callable[..., Any], _: object, args: Any, kwargs: Any) -> Any:
    return polling.poll_around(wrapped(*args, **kwargs))


def _select_by_selector(wrapped: Callable[..., Any], selector: Any, args: Any, kwargs: Any) -> Any:
    keys = selector.get_map()
    if not any(external_loops.pending(fd) for fd in keys):
        return wrapped(*args, **kwargs)
    # The selector's watchers would report the connection to the proxy. So the wrapped poll() waits in their place.
    poll = sys.modules["gevent.select"].poll()
    for key in keys.values():
        poll.register(key.fd, (key.events & EVENT_READ and _IN) | (key.events & EVENT_WRITE and _OUT))
    timeout = args[0] if args else kwargs.get("timeout")
    found = poll.poll(None if timeout is None else max(0, ceil(timeout * 1000)))
    events = {fd: (EVENT_READ if event & ~_OUT else 0) | (EVENT_WRITE if event & ~_IN else 0) for fd, event in found}
    return [(key, events[key.fd] & key.events) for key in keys.values() if events.get(key.fd, 0) & key.events]
