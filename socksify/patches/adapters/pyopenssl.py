"""pyOpenSSL: its C part reads and writes on the descriptor of a socket, and so bypasses our guarded methods.

So the methods of a Connection over a socket are guarded as well, until the socket is connected: the Connection object
gets attributes of the same names, which hide the methods.
"""

from __future__ import annotations

import os
from errno import errorcode
from functools import partial

from OpenSSL import SSL

from socksify.patches.adapters import wrap
from socksify.patches.guards import pending

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    from socksify.patches.journal import Journal

# The methods that read and write.
_NAMES = ("do_handshake", "send", "write", "sendall", "recv", "read", "recv_into")


def patch(module: ModuleType, journal: Journal) -> None:
    """Wrap Connection.__init__(). The socket of the Connection may be connected earlier or later than this call."""
    wrap(journal, module.Connection, "__init__", _init)


def _init(wrapped: Callable[..., None], connection: Any, args: Any, kwargs: Any) -> None:
    wrapped(*args, **kwargs)
    if connection._socket is not None:
        vars(connection).update((name, partial(_guarded, connection, name)) for name in _NAMES)


def _guarded(connection: Any, name: str, /, *args: Any, **kwargs: Any) -> Any:
    try:
        pending.check_io(connection.fileno())
    except BlockingIOError:
        raise SSL.WantWriteError from None
    except OSError as error:
        number = error.errno or 0
        raise SSL.SysCallError(number, errorcode.get(number, os.strerror(number))) from error
    for each in _NAMES:
        vars(connection).pop(each, None)
    return getattr(connection, name)(*args, **kwargs)
