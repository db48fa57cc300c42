"""anyio on asyncio: its datagram sockets do not raise the error that the transport reports for a send.

A client whose datagrams are refused would wait for an answer that never comes, and would not know why.
"""

from __future__ import annotations

from socksify.patches.adapters import wrap
from socksify.tunnel import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import ModuleType
    from typing import Any

    from socksify.patches.journal import Journal


def patch(module: ModuleType, journal: Journal) -> None:
    """Wrap send() of both datagram classes of anyio._backends._asyncio."""
    for cls in (module.UDPSocket, module.ConnectedUDPSocket):
        wrap(journal, cls, "send", _send)


async def _send(wrapped: Callable[..., Awaitable[None]], sock: Any, args: Any, kwargs: Any) -> None:
    await wrapped(*args, **kwargs)
    error = sock._protocol.exception
    if isinstance(error, errors.ProxyError):
        sock._protocol.exception = None
        raise errors.to_raise(error)
