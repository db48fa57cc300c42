"""trio: its sockets have taken send() out of the class socket.socket, so that no guard of an object's is met.

What they send to a peer that may be sent nothing stays on this machine all the same (fence.py), but nobody would be
told.
"""

from __future__ import annotations

from functools import partial

from socksify import _originals
from socksify.patches.adapters import wrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType
    from typing import Any

    from socksify.patches.journal import Journal


def patch(module: ModuleType, journal: Journal) -> None:
    """Wrap connect() of trio._socket's class, after which an object may be guarded; send() is left to be quick."""
    wrap(journal, module._SocketType, "connect", _connect)


async def _connect(wrapped: Callable[..., Awaitable[None]], sock: Any, args: Any, kwargs: Any) -> None:
    await wrapped(*args, **kwargs)
    if type(sock._sock) is not _originals.PythonSocket:
        sock.send = partial(_send, sock)


async def _send(sock: Any, *args: Any) -> Any:
    from trio.lowlevel import wait_writable

    # The method that the object has by now: a guard is taken off again.
    return await sock._nonblocking_helper(wait_writable, type(sock._sock).send, *args)
