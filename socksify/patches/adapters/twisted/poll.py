"""twisted's PollReactor: a reactor that was made before install() has the original kind of poll object.

The descriptors that are registered with that object cannot be listed, but the reactor has its own list. So the reactor
gets a new poll object of ours with the same descriptors. Later reactors, and reactors of other kinds, need no patch.
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
    """Give the reactor of this process a poll object of ours, if the reactor is a PollReactor."""
    reactor: Any = sys.modules.get("twisted.internet.reactor")
    if isinstance(reactor, module.PollReactor):
        _replace_poller(reactor, polling.make_poll)
        journal.on_undo(partial(_replace_poller, reactor, _originals.poll))


def _replace_poller(reactor: Any, make_poll: Callable[[], Any]) -> None:
    poller = make_poll()
    for fd in {*reactor._reads, *reactor._writes}:
        poller.register(fd, (POLLIN if fd in reactor._reads else 0) | (POLLOUT if fd in reactor._writes else 0))
    reactor._poller = poller
