"""twisted's reactor by poll(2): one that was made before install() keeps a poll object that nobody can look into.

The reactor itself knows what is in it. One that is made afterwards, and all other reactors, need nothing.
"""

from __future__ import annotations

import sys
from functools import partial
from select import POLLIN, POLLOUT

from socksify import _originals
from socksify.patches import polling

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from socksify.patches.journal import Journal


def patch(module: ModuleType, journal: Journal) -> None:
    """Give the reactor of the process, if it is a twisted.internet.pollreactor's, a poll object of ours."""
    reactor: Any = sys.modules.get("twisted.internet.reactor")
    if isinstance(reactor, module.PollReactor):
        _rehouse(reactor, polling.make_poll)
        journal.on_undo(partial(_rehouse, reactor, _originals.poll))


def _rehouse(reactor: Any, make_poll: Callable[[], Any]) -> None:
    house = make_poll()
    for fd in {*reactor._reads, *reactor._writes}:
        house.register(fd, (POLLIN if fd in reactor._reads else 0) | (POLLOUT if fd in reactor._writes else 0))
    reactor._poller = house
