"""Open connections to services that call back, as FTP's and rsh's do, and whose they are.

A listening socket on the wildcard does not say whom it is for. Clients make theirs in the thread that has the
connection, and after it: a listener is taken for one of theirs only then.
"""

from __future__ import annotations

from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.tunnel.state import Tunnel

# The ports of such services, by install(); None: whoever is connected to may call back.
ports: frozenset[int] | None = frozenset()

# In the order in which they were begun, with the thread that did.
_callers: dict[Tunnel, int] = {}


def call_from(services: frozenset[int] | None) -> None:
    """Which services call back from now on; connections to others are forgotten."""
    global ports
    ports = services
    for tunnel in list(_callers):
        if ports is not None and tunnel.route.target.port not in ports:
            forget(tunnel)


def note(tunnel: Tunnel) -> None:
    """A connection has begun."""
    if ports is None or tunnel.route.target.port in ports:
        _callers[tunnel] = get_ident()


def forget(tunnel: Tunnel) -> None:
    """Nobody holds it any more."""
    if _callers:
        _callers.pop(tunnel, None)


def are_there() -> bool:
    """Whether there may be any: the one question that every bind() and listen() asks."""
    return bool(_callers)


def in_this_thread() -> list[Tunnel]:
    """The open ones that this thread began, the latest last."""
    own = get_ident()
    return [tunnel for tunnel, thread in _callers.copy().items() if thread == own and _lives(tunnel)]


def anywhere() -> list[Tunnel]:
    """All open ones, the latest last."""
    return [tunnel for tunnel in list(_callers) if _lives(tunnel)]


def _lives(tunnel: Tunnel) -> bool:
    return tunnel.is_open and tunnel.is_somewhere()
