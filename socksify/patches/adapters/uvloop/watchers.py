"""Readers and writers of uvloop's loops: on a pending tunnel's fd they are not to be called before it is settled.

Until then the loop watches for the handshake, and nobody else hears of the fd.
"""

from __future__ import annotations

from select import POLLIN, POLLOUT
from weakref import WeakKeyDictionary

from uvloop.loop import Loop as _Native

from socksify._originals import monotonic
from socksify.patches.adapters import external_loops
from socksify.tunnel import connect, readiness
from socksify.tunnel.registry import registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from socksify.tunnel.state import Tunnel

_standing: WeakKeyDictionary[Any, dict[int, _Standing | _Listening]] = WeakKeyDictionary()
_ADD = {"reader": _Native.add_reader, "writer": _Native.add_writer}


async def ready(loop: Any, fd: int, readable: bool, seconds: float) -> None:
    """Wait until an fd is readable, or else writable, at the longest for so many seconds."""
    waiter = loop.create_future()

    def wake() -> None:
        if not waiter.done():
            waiter.set_result(None)

    _ADD["reader" if readable else "writer"](loop, fd, wake)
    timer = loop.call_later(seconds, wake)
    try:
        await waiter
    finally:
        timer.cancel()
        _stop(loop, fd)


def _stop(loop: Any, fd: int) -> None:
    _Native.remove_reader(loop, fd)
    _Native.remove_writer(loop, fd)


class _Standing:
    """The handshake on a pending fd, and who is to hear of the fd afterwards."""

    def __init__(self, loop: Any, fd: int, tunnel: Tunnel) -> None:
        self._loop, self._fd, self.tunnel = loop, fd, tunnel
        self._steps = external_loops.steps(tunnel)
        self._timer: Any = None
        # "reader" or "writer" -> the callback and its arguments
        self.wanted: dict[str, tuple[Any, ...]] = {}

    def go_on(self) -> None:
        self._rest()
        step = next(self._steps, None) if self.wanted else None
        if step is not None:
            readable, seconds = step
            _ADD["reader" if readable else "writer"](self._loop, self._fd, self.go_on)
            self._timer = self._loop.call_later(seconds, self.go_on)
            return
        self.end()
        if not self.tunnel.released:
            for what, call in self.wanted.items():
                _ADD[what](self._loop, self._fd, *call)

    def end(self) -> None:
        """Nobody wants to hear of the fd any more, or it is settled."""
        self._rest()
        self._steps.close()
        _of(self._loop).pop(self._fd, None)

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            _stop(self._loop, self._fd)


class _Listening:
    """A listening socket of the proxy's, and who is to hear of its peers.

    With each peer its fd becomes another connection, of which libuv's epoll knows nothing: it is watched anew.
    """

    def __init__(self, loop: Any, fd: int) -> None:
        self._loop, self._fd = loop, fd
        self._timer: Any = None
        self.wanted: dict[str, tuple[Any, ...]] = {}

    def go_on(self) -> None:
        tunnel = registry.unsettled_at(self._fd)
        events = readiness.wanted(self._fd, POLLIN)
        if tunnel is None or events is None:
            self.end()
            return
        _ADD["writer" if events & POLLOUT else "reader"](self._loop, self._fd, self._ready)
        if tunnel.handshake is not None:
            self._timer = self._loop.call_later(tunnel.handshake.deadline - monotonic(), self._ready)

    def end(self) -> None:
        """Nobody wants to hear of the fd any more, or it listens no more."""
        self._rest()
        _of(self._loop).pop(self._fd, None)

    def _ready(self) -> None:
        self._rest()
        tunnel = registry.unsettled_at(self._fd)
        try:
            if tunnel is not None and _has_come(tunnel):
                callback, *args = self.wanted["reader"]
                callback(*args)
        finally:
            if self.wanted:
                self.go_on()

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        _stop(self._loop, self._fd)


def _has_come(tunnel: Tunnel) -> bool:
    """Whether accept() has something to say: of a peer, or of a failure. If not, the proxy is asked further."""
    if tunnel.handshake is not None:
        connect.advance(tunnel)
        connect.expire(tunnel, monotonic())
        return tunnel.error is not None
    if tunnel.listener is not None and tunnel.listener.is_idle:
        tunnel.listener.ask_again(tunnel)
        return False
    return True


def _of(loop: Any) -> dict[int, _Standing | _Listening]:
    return _standing.setdefault(loop, {})


def _fd(file: Any) -> int:
    return file if isinstance(file, int) else int(file.fileno())


def _standing_at(loop: Any, fd: int, what: str) -> _Standing | _Listening | None:
    """Who stands between libuv and those that want to hear of an fd; None where nobody has to."""
    tunnel = registry.unsettled_at(fd) if registry.unsettled else None
    there = _of(loop).get(fd)
    if tunnel is not None and tunnel.listens:
        listening = there if isinstance(there, _Listening) else _Listening(loop, fd)
        return listening if what == "reader" else None
    tunnel = external_loops.pending(fd)
    if tunnel is None:
        return None
    return there if isinstance(there, _Standing) and there.tunnel is tunnel else _Standing(loop, fd, tunnel)


def _adding(what: str) -> Callable[..., None]:
    def add(wrapped: Callable[..., None], loop: Any, args: Any, kwargs: Any) -> None:
        file = args[0] if args else kwargs["fileobj"]
        call = args[1:] or (kwargs["callback"],)
        fd = _fd(file)
        standing = _standing_at(loop, fd, what)
        if standing is None:
            wrapped(*args, **kwargs)
            return
        _of(loop)[fd] = standing
        is_new = not standing.wanted
        standing.wanted[what] = call
        if is_new:
            standing.go_on()

    return add


def _removing(what: str) -> Callable[..., None]:
    def remove(wrapped: Callable[..., None], loop: Any, args: Any, kwargs: Any) -> None:
        standing = _of(loop).get(_fd(args[0] if args else kwargs["fileobj"]))
        if standing is None:
            wrapped(*args, **kwargs)
            return
        standing.wanted.pop(what, None)
        if not standing.wanted:
            standing.end()

    return remove


METHODS: dict[str, Callable[..., Any]] = {
    "add_reader": _adding("reader"),
    "add_writer": _adding("writer"),
    "remove_reader": _removing("reader"),
    "remove_writer": _removing("writer"),
}
