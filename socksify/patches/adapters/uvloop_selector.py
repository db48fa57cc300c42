"""asyncio's own loop in front of one of uvloop's, for what asyncio does by methods of sockets, and libuv in C."""

from __future__ import annotations

from asyncio import BaseEventLoop
from asyncio.selector_events import BaseSelectorEventLoop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Context
    from typing import Any


class SelectorLoop:
    """What asyncio's transports and servers ask of a loop of its own, and have from uvloop's."""

    _ensure_resolved = vars(BaseEventLoop)["_ensure_resolved"]
    _ensure_fd_no_transport = vars(BaseSelectorEventLoop)["_ensure_fd_no_transport"]

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._debug = loop.get_debug()
        self._transports: dict[int, Any] = {}
        self._remove_reader, self._remove_writer = loop.remove_reader, loop.remove_writer

    def _add_reader(self, fd: int, call: Callable[..., object], *args: Any, context: Context | None = None) -> None:
        self._loop.add_reader(fd, *_in(context, call, args))

    def _add_writer(self, fd: int, call: Callable[..., object], *args: Any, context: Context | None = None) -> None:
        self._loop.add_writer(fd, *_in(context, call, args))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


def _in(context: Context | None, call: Callable[..., object], args: tuple[Any, ...]) -> tuple[Any, ...]:
    """A call in a context, as asyncio asks for it from Python 3.15 on; uvloop's methods take none."""
    return (call, *args) if context is None else (context.run, call, *args)
