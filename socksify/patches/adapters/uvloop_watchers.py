"""Readers and writers of uvloop's loops: on a pending tunnel's fd they are not to be called before it is settled.

Until then the loop watches for the handshake, and nobody else hears of the fd.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

from uvloop.loop import Loop as _Native

from socksify.patches import driving

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from socksify.tunnel.tunnel import Tunnel

_standing: WeakKeyDictionary[Any, dict[int, _Standing]] = WeakKeyDictionary()
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
        self._loop, self._fd, self._tunnel = loop, fd, tunnel
        self._steps = driving.steps(tunnel)
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
        if not self._tunnel.released:
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


def _of(loop: Any) -> dict[int, _Standing]:
    return _standing.setdefault(loop, {})


def _fd(file: Any) -> int:
    return file if isinstance(file, int) else int(file.fileno())


def _adding(what: str) -> Callable[..., None]:
    def add(wrapped: Callable[..., None], loop: Any, args: Any, kwargs: Any) -> None:
        file, *call = args or (kwargs.pop("fileobj"), kwargs.pop("callback"))
        fd = _fd(file)
        tunnel = driving.pending(fd)
        if tunnel is None:
            wrapped(*args, **kwargs)
            return
        standing = _of(loop).setdefault(fd, _Standing(loop, fd, tunnel))
        is_new = not standing.wanted
        standing.wanted[what] = tuple(call)
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
