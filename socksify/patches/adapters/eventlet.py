"""eventlet: its sockets use a copy of socket.socket, its hub polls by a copy of select, and greendns resolves names.

The copy of the class gets our methods. If a green thread waits for a socket with a pending tunnel, it advances the
handshake instead, and waits for that. Meanwhile the hub lets other green threads run.
"""

from __future__ import annotations

import sys

from socksify import _originals
from socksify._originals import monotonic
from socksify.patches.adapters import external_loops, wrap_everywhere
from socksify.patches.adapters.resolver_functions import NAMES, answering
from socksify.patches.executors import carried
from socksify.patches.guards import pending
from socksify.patches.sockets import other_classes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from socksify.patches.journal import Journal
    from socksify.tunnel.state import Tunnel


def patch(module: ModuleType, journal: Journal) -> None:
    """Patch one of eventlet's modules by its function in `_PATCHES`."""
    _PATCHES[module.__name__](module, journal)


def _patch_sockets(greenio: ModuleType, journal: Journal) -> None:
    if greenio._original_socket is not _originals.PythonSocket:
        other_classes.cover(greenio._original_socket, journal)


def _patch_hubs(hubs: ModuleType, journal: Journal) -> None:
    wrap_everywhere(journal, hubs, {"trampoline": _trampoline})


def _patch_select(select: ModuleType, journal: Journal) -> None:
    wrap_everywhere(journal, select, {"select": external_loops.select})


def _patch_names(greendns: ModuleType, journal: Journal) -> None:
    wrap_everywhere(journal, greendns, {name: answering(name) for name in NAMES})


def _patch_tls(ssl: ModuleType, journal: Journal) -> None:
    pending.waits[ssl.GreenSSLSocket] = _wait_for_connect
    journal.on_undo(lambda: pending.waits.pop(ssl.GreenSSLSocket))


def _patch_threads(tpool: ModuleType, journal: Journal) -> None:
    wrap_everywhere(journal, tpool, {"execute": _execute})


_PATCHES: dict[str, Callable[[ModuleType, Journal], None]] = {
    "eventlet.green.select": _patch_select,
    "eventlet.green.ssl": _patch_tls,
    "eventlet.greenio.base": _patch_sockets,
    "eventlet.hubs": _patch_hubs,
    "eventlet.support.greendns": _patch_names,
    "eventlet.tpool": _patch_threads,
}


def _wait_for_connect(sock: Any) -> bool:
    if sock.act_non_blocking:
        return False
    sys.modules["eventlet.hubs"].trampoline(
        sock, write=True, timeout=sock.gettimeout(), timeout_exc=TimeoutError("timed out")
    )
    return True


def _execute(wrapped: Callable[..., Any], _: object, args: Any, kwargs: Any) -> Any:
    return wrapped(*map(carried, args[:1]), *args[1:], **kwargs)


class _Turn:
    """A turn of a green thread (`external_loops.Turn`)."""

    def __init__(self) -> None:
        # eventlet imports this module after the modules that are patched.
        from eventlet.event import Event

        self._over = Event()

    def set(self) -> None:
        self._over.send(True)

    def is_over(self, timeout: float | None) -> bool:
        """Wait until the turn is over. Return False if it is not over after `timeout` seconds (None: no limit)."""
        return self._over.wait(timeout) is not None


class _WaitOver(Exception):
    """The time limit of a wait for a descriptor has passed."""


def _trampoline(wrapped: Callable[..., Any], _: object, args: Any, kwargs: Any) -> Any:
    file = args[0] if args else kwargs["fd"]
    tunnel = external_loops.pending(file if isinstance(file, int) else file.fileno())
    if tunnel is None:
        return wrapped(*args, **kwargs)
    return _settle_first(wrapped, tunnel, *args, **kwargs)


def _settle_first(
    trampoline: Callable[..., Any],
    tunnel: Tunnel,
    fd: Any,
    read: Any = None,
    write: Any = None,
    timeout: float | None = None,
    timeout_exc: Any = TimeoutError,
    mark_as_closed: Any = None,
) -> Any:
    until = None if timeout is None else monotonic() + timeout

    def wait(readable: bool, seconds: float) -> None:
        left = seconds if until is None else min(seconds, until - monotonic())
        try:
            trampoline(fd, readable, not readable, left, _WaitOver, mark_as_closed)
        except _WaitOver:
            if until is not None and monotonic() >= until:
                raise timeout_exc from None

    def wait_for_turn(turn: _Turn) -> None:
        if not turn.is_over(None if until is None else max(0.0, until - monotonic())):
            raise timeout_exc

    external_loops.settle(tunnel, wait, _Turn, wait_for_turn)
    external_loops.raise_outcome(tunnel)
    if not read:
        # The socket is writable now. Several green threads may come here at once, but the hub allows only one of them
        # to wait for a descriptor, so there is no further wait.
        return None
    left = None if until is None else max(0.0, until - monotonic())
    return trampoline(fd, read, write, left, timeout_exc, mark_as_closed)
