"""Datagrams of uvloop's loops, which libuv sends past every method: here asyncio's own transport sends them instead.

That one calls the methods of a socket.socket, so that what goes for datagrams elsewhere goes for these.
"""

from __future__ import annotations

from asyncio import BaseEventLoop
from asyncio.selector_events import BaseSelectorEventLoop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any


class _SelectorLoop:
    """What asyncio's transport asks of a loop of its own, and has from uvloop's."""

    create_datagram_endpoint: Any = BaseEventLoop.create_datagram_endpoint
    _ensure_resolved = vars(BaseEventLoop)["_ensure_resolved"]
    _ensure_fd_no_transport = vars(BaseSelectorEventLoop)["_ensure_fd_no_transport"]
    _make_datagram_transport = vars(BaseSelectorEventLoop)["_make_datagram_transport"]

    def __init__(self, loop: Any) -> None:
        self._loop = loop
        self._debug = loop.get_debug()
        self._transports: dict[int, Any] = {}
        self._add_reader, self._remove_reader = loop.add_reader, loop.remove_reader
        self._add_writer, self._remove_writer = loop.add_writer, loop.remove_writer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


async def create_endpoint(_: Callable[..., Awaitable[Any]], loop: Any, args: Any, kwargs: Any) -> Any:
    """Takes the place of create_datagram_endpoint()."""
    return await _SelectorLoop(loop).create_datagram_endpoint(*args, **kwargs)
