"""Readers and writers of uvloop's loops. While a tunnel is pending, they are not called for its descriptor.

Until the tunnel is settled, the loop watches the descriptor for the handshake. A socket that listens through the proxy
is watched in the same way, because each peer makes a new handshake necessary.
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

    # A callback and its arguments.
    Call = tuple[Any, ...]

# The events of a descriptor, and the methods by which libuv is told to watch for them.
_READER, _WRITER = "reader", "writer"
_ADD = {_READER: _Native.add_reader, _WRITER: _Native.add_writer}


async def ready(loop: Any, fd: int, readable: bool, seconds: float) -> None:
    """Wait until a descriptor is readable, or writable if `readable` is False, for at most `seconds`."""
    waiter = loop.create_future()

    def wake() -> None:
        if not waiter.done():
            waiter.set_result(None)

    _ADD[_READER if readable else _WRITER](loop, fd, wake)
    timer = loop.call_later(seconds, wake)
    try:
        await waiter
    finally:
        timer.cancel()
        _remove(loop, fd)


def _remove(loop: Any, fd: int) -> None:
    _Native.remove_reader(loop, fd)
    _Native.remove_writer(loop, fd)


class _Watch:
    """Watches a descriptor, and holds the readers and writers that the program has added to a loop for it."""

    def __init__(self, loop: Any, fd: int) -> None:
        self._loop, self._fd = loop, fd
        # True while libuv watches the descriptor for us.
        self._is_watched = False
        self._timer: Any = None
        self._wanted: dict[str, Call] = {}

    def want(self, event: str, call: Call) -> None:
        """Note the callback of the program for this event, _READER or _WRITER."""
        is_new = not self._wanted
        self._wanted[event] = call
        if is_new:
            self.advance()

    def forget(self, event: str) -> None:
        """Forget the callback of the program for this event. The watch ends after the last callback."""
        self._wanted.pop(event, None)
        if not self._wanted:
            self.end()

    def advance(self) -> None:
        """Proceed as far as possible without waiting, then let libuv watch the descriptor."""
        raise NotImplementedError

    def end(self) -> None:
        """End this watch. The loop itself may watch the descriptor then."""
        self._stop()
        _WATCHES.forget(self._loop, self._fd)

    def _watch(self, event: str, seconds: float | None, call: Callable[[], None]) -> None:
        """Let the loop make `call` at an event, or after `seconds` (None: no limit)."""
        self._is_watched = True
        _ADD[event](self._loop, self._fd, call)
        if seconds is not None:
            self._timer = self._loop.call_later(seconds, call)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._is_watched:
            self._is_watched = False
            _remove(self._loop, self._fd)


class _HandshakeWatch(_Watch):
    """Advances a pending tunnel; then the loop itself calls the program's readers and writers."""

    def __init__(self, loop: Any, fd: int, tunnel: Tunnel) -> None:
        super().__init__(loop, fd)
        self.tunnel = tunnel
        self._steps = external_loops.steps(tunnel)

    def advance(self) -> None:
        self._stop()
        step = next(self._steps, None) if self._wanted else None
        if step is not None:
            readable, seconds = step
            self._watch(_READER if readable else _WRITER, seconds, self.advance)
            return
        self.end()
        if not self.tunnel.released:
            for event, call in self._wanted.items():
                _ADD[event](self._loop, self._fd, *call)

    def end(self) -> None:
        super().end()
        self._steps.close()


class _ListenerWatch(_Watch):
    """Waits for the peers of a socket that listens through the proxy.

    For each peer, the descriptor gets a new connection to the proxy, which libuv's epoll object does not know. So the
    descriptor is registered again each time.
    """

    def advance(self) -> None:
        tunnel = registry.unsettled_at(self._fd)
        events = readiness.wanted(self._fd, POLLIN)
        if tunnel is None or events is None:
            self.end()
            return
        # Once only: another thread may settle the tunnel at any moment.
        handshake = tunnel.handshake
        left = handshake.deadline - monotonic() if handshake is not None else None
        self._watch(_WRITER if events & POLLOUT else _READER, left, self._ready)

    def _ready(self) -> None:
        self._stop()
        tunnel = registry.unsettled_at(self._fd)
        try:
            if tunnel is not None and _accepts(tunnel):
                callback, *args = self._wanted[_READER]
                callback(*args)
        finally:
            if self._wanted:
                self.advance()


def _accepts(tunnel: Tunnel) -> bool:
    """Return True if accept() would return a peer or raise an error. Otherwise advance the listener."""
    if tunnel.handshake is not None:
        connect.advance(tunnel)
        connect.expire(tunnel, monotonic())
        return tunnel.error is not None
    if tunnel.listener is not None and tunnel.listener.is_idle:
        tunnel.listener.ask_again(tunnel)
        return False
    return True


class _Watches:
    """The watches of each loop, by descriptor: one object in a process. The watches of a deleted loop are deleted."""

    def __init__(self) -> None:
        self._of_loops: WeakKeyDictionary[Any, dict[int, _Watch]] = WeakKeyDictionary()

    def find(self, loop: Any, fd: int) -> _Watch | None:
        """Return the watch of a descriptor, if there is one."""
        return self._of_loops.get(loop, {}).get(fd)

    def put(self, loop: Any, fd: int, watch: _Watch) -> None:
        """Register a watch for this descriptor."""
        self._of_loops.setdefault(loop, {})[fd] = watch

    def forget(self, loop: Any, fd: int) -> None:
        """Forget the watch of a descriptor, if there is one."""
        self._of_loops.get(loop, {}).pop(fd, None)


_WATCHES = _Watches()


def _needed(loop: Any, fd: int, event: str) -> _Watch | None:
    """Return the watch that is necessary for an event of a descriptor; None if the loop itself can watch it."""
    tunnel = registry.unsettled_at(fd) if registry.unsettled else None
    present = _WATCHES.find(loop, fd)
    if tunnel is not None and tunnel.listens:
        watch = present if isinstance(present, _ListenerWatch) else _ListenerWatch(loop, fd)
        return watch if event == _READER else None
    tunnel = external_loops.pending(fd)
    if tunnel is None:
        return None
    is_present = isinstance(present, _HandshakeWatch) and present.tunnel is tunnel
    return present if is_present else _HandshakeWatch(loop, fd, tunnel)


def _fd(file: Any) -> int:
    return file if isinstance(file, int) else int(file.fileno())


def _adding(event: str) -> Callable[..., None]:
    def add(wrapped: Callable[..., None], loop: Any, args: Any, kwargs: Any) -> None:
        call = args[1:] or (kwargs["callback"],)
        fd = _fd(args[0] if args else kwargs["fileobj"])
        watch = _needed(loop, fd, event)
        if watch is None:
            wrapped(*args, **kwargs)
        else:
            _WATCHES.put(loop, fd, watch)
            watch.want(event, call)

    return add


def _removing(event: str) -> Callable[..., None]:
    def remove(wrapped: Callable[..., None], loop: Any, args: Any, kwargs: Any) -> None:
        watch = _WATCHES.find(loop, _fd(args[0] if args else kwargs["fileobj"]))
        if watch is None:
            wrapped(*args, **kwargs)
        else:
            watch.forget(event)

    return remove


METHODS: dict[str, Callable[..., Any]] = {
    "add_reader": _adding(_READER),
    "add_writer": _adding(_WRITER),
    "remove_reader": _removing(_READER),
    "remove_writer": _removing(_WRITER),
}
