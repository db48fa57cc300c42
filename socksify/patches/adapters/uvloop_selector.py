"""asyncio's own loop in front of one of uvloop's, for what asyncio does by methods of sockets, and libuv in C."""

from __future__ import annotations

from asyncio import BaseEventLoop
from asyncio.selector_events import BaseSelectorEventLoop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class SelectorLoop:
    """What asyncio's transports and servers ask of a loop of its own, and have from uvloop's."""

    _ensure_resolved = vars(BaseEventLoop)["_ensure_resolved"]
    _ensure_fd_no_transport = vars(BaseSelectorEventLoop)["_ensure_fd_no_transport"]

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._debug = loop.get_debug()
        self._transports: dict[int, Any] = {}
        self._add_reader, self._remove_reader = loop.add_reader, loop.remove_reader
        self._add_writer, self._remove_writer = loop.add_writer, loop.remove_writer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)
