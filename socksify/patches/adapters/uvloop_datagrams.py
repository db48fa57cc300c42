"""Datagrams of uvloop's loops, which libuv sends past every method: here asyncio's own transport sends them instead.

That one calls the methods of a socket.socket, so that what goes for datagrams elsewhere goes for these.
"""

from __future__ import annotations

import warnings
from asyncio import BaseEventLoop
from asyncio.selector_events import BaseSelectorEventLoop
from socket import AF_UNIX

from socksify.patches.adapters.uvloop_selector import SelectorLoop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any


class _DatagramLoop(SelectorLoop):
    create_datagram_endpoint: Any = BaseEventLoop.create_datagram_endpoint
    _make_datagram_transport = vars(BaseSelectorEventLoop)["_make_datagram_transport"]


async def create_endpoint(wrapped: Callable[..., Awaitable[Any]], loop: Any, args: Any, kwargs: Any) -> Any:
    """Takes the place of create_datagram_endpoint(), but for Unix sockets."""
    if getattr(kwargs.get("sock"), "family", None) == AF_UNIX:
        return await wrapped(*args, **kwargs)
    # asyncio has no such option any more.
    if "reuse_address" in kwargs:
        if kwargs.pop("reuse_address"):
            raise ValueError("reuse_address=True is no longer supported: others could take datagrams of this port")
        warnings.warn("reuse_address has been deprecated", DeprecationWarning, stacklevel=2)
    return await _DatagramLoop(loop).create_datagram_endpoint(*args, **kwargs)
