"""gevent: its sockets have another base class than socket.socket, and its hub waits in C.

This base class gets our methods. If a greenlet waits for a socket with a pending tunnel, it advances the handshake
instead, and waits for that. Meanwhile the hub lets other greenlets run.
"""

from __future__ import annotations

from gevent import _hub_primitives, _socket3, get_hub
from gevent.event import Event
from gevent.timeout import Timeout

from socksify.patches.adapters import external_loops, wrap, wrap_everywhere
from socksify.patches.sockets import other_classes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from socksify.patches.journal import Journal
    from socksify.tunnel.state import Tunnel

# Events of libev; gevent gives them the same values with libuv.
_READ, _WRITE = 1, 2


def patch(_: ModuleType, journal: Journal) -> None:
    """Cover the base class of gevent.socket.socket, and wrap the functions that wait for a descriptor."""
    other_classes.cover_plain(_socket3._wrefsocket, journal)
    wrap(journal, _socket3.socket.__base__, "_wait", _wait)
    names = ("wait_read", "wait_write", "wait_readwrite")
    wrap_everywhere(journal, _hub_primitives, dict.fromkeys(names, _wait_for_fd))


def _wait(wrapped: Callable[..., None], sock: Any, args: Any, kwargs: Any) -> None:
    tunnel = external_loops.pending(sock.fileno()) if sock is not None else None
    if tunnel is None:
        wrapped(*args, **kwargs)
        return

    def wait(readable: bool, seconds: float) -> None:
        with Timeout(seconds, False):
            wrapped(sock._read_event if readable else sock._write_event, *args[1:], **kwargs)

    def wait_for_turn(turn: Event) -> None:
        if not turn.wait(sock.timeout):
            raise args[1] if args[1:] else kwargs.get("timeout_exc") or TimeoutError("timed out")

    external_loops.settle(tunnel, wait, Event, wait_for_turn)
    external_loops.raise_outcome(tunnel)


def _wait_for_fd(wrapped: Callable[..., None], _: object, args: Any, kwargs: Any) -> None:
    tunnel = external_loops.pending(args[0] if args else kwargs["fileno"])
    if tunnel is None:
        wrapped(*args, **kwargs)
    else:
        _settle_first(wrapped, tunnel, *args, **kwargs)


def _settle_first(
    wait: Callable[..., None],
    tunnel: Tunnel,
    fileno: int,
    timeout: float | None = None,
    timeout_exc: BaseException | None = None,
    **others: Any,
) -> None:
    error = TimeoutError("timed out") if timeout_exc is None else timeout_exc
    with Timeout(timeout, error):
        external_loops.settle(tunnel, lambda readable, seconds: _wait_raw(fileno, readable, seconds), Event, Event.wait)
        wait(fileno, **others)


def _wait_raw(fd: int, readable: bool, seconds: float) -> None:
    watcher = get_hub().loop.io(fd, _READ if readable else _WRITE)
    try:
        with Timeout(seconds, False):
            get_hub().wait(watcher)
    finally:
        watcher.close()
