"""trio: its sockets call send() of the class socket.socket, and so bypass the guard of a datagram socket.

A datagram to a forbidden peer does not leave this machine (`tunnel.datagrams`), but without the guard the client would
get no error.
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
    """Wrap connect() of trio._socket's class. It gives a guarded socket object its own send().

    A wrapper of send() on the class would slow down all sockets.
    """
    wrap(journal, module._SocketType, "connect", _connect)


async def _connect(wrapped: Callable[..., Awaitable[None]], sock: Any, args: Any, kwargs: Any) -> None:
    await wrapped(*args, **kwargs)
    if type(sock._sock) is not _originals.PythonSocket:
        sock.send = partial(_send, sock)


async def _send(sock: Any, *args: Any) -> Any:
    from trio.lowlevel import wait_writable

    # The class is read at each call, because the guard may have been removed since connect().
    return await sock._nonblocking_helper(wait_writable, type(sock._sock).send, *args)
