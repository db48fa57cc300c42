"""No byte of the client's mixes with the handshake's: the I/O methods of a socket whose connect is pending.

`send` and `recv` are never patched on `socket.socket`. An object on a pending kernel socket is moved to a
subclass of its own class instead, and moved back when the tunnel is settled; every object on it is, however it
came about, for one that was left out once took a byte of the proxy's reply. Meanwhile I/O fails as on a socket
that is still connecting: EAGAIN, and ENOTCONN where the kernel would say so.
"""

from __future__ import annotations

import os
from errno import EAGAIN

from socksify import _real
from socksify.tunnel import dial, registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket as Socket
    from typing import Any

    from socksify.tunnel.registry import Tunnel

_NAMES = (
    "send",
    "sendall",
    "sendfile",
    "sendmsg",
    "sendto",
    "recv",
    "recv_into",
    "recvfrom",
    "recvfrom_into",
    "recvmsg",
    "recvmsg_into",
)
# What SSLSocket adds.
_TLS_NAMES = ("read", "write", "do_handshake", "unwrap")

_guarded: dict[type, type] = {}
# Guard class -> the class that it stands in for.
_plain: dict[type, type] = {}


def guard(tunnel: Tunnel) -> None:
    """Guard every object that holds a pending tunnel, until it is settled."""
    tunnel.settled.append(lambda: unguard(tunnel))
    for sock in registry.objects(tunnel):
        guard_object(sock)
    if tunnel.handshake is None:  # settled by another thread meanwhile
        unguard(tunnel)


def guard_object(sock: Socket) -> None:
    """Guard one more object."""
    cls = type(sock)
    if cls not in _plain:
        sock.__class__ = _guard_class(cls)


def unguard(tunnel: Tunnel) -> None:
    """Give every object back its own class."""
    for sock in registry.objects(tunnel):
        unguard_object(sock)


def unguard_object(sock: Socket) -> None:
    """Give one object back its own class."""
    plain = _plain.get(type(sock))
    if plain is not None:
        sock.__class__ = plain


def _guard_class(cls: type) -> type:
    found = _guarded.get(cls)
    if found is None:
        body: dict[str, Any] = {"__slots__": (), "__module__": cls.__module__, "__qualname__": cls.__qualname__}
        body["__doc__"] = cls.__doc__
        tls = hasattr(cls, "do_handshake")
        for name in _NAMES + (_TLS_NAMES if tls else ()):
            body[name] = _method(cls, name, tls)
        found = _guarded[cls] = type(cls)(cls.__name__, (cls,), body)
        _plain[found] = cls
    return found


def _method(cls: type, name: str, tls: bool) -> Callable[..., Any]:
    def guarded(self: Socket, *args: Any, **kwargs: Any) -> Any:
        tunnel = registry.find(self)
        if tunnel is not None and tunnel.handshake is not None and _real.gettimeout(self) != 0:
            # Made blocking in the meantime: the kernel would wait for the connect to be over, too.
            dial.finish(tunnel, _real.gettimeout(self))
        if tunnel is not None and tunnel.handshake is not None:
            # ssl takes no answer but ENOTCONN when it looks whether a socket is connected yet.
            raise registry.not_connected() if tls else BlockingIOError(EAGAIN, os.strerror(EAGAIN))
        if tunnel is not None and tunnel.error is not None:
            raise registry.not_connected()
        unguard_object(self)
        return getattr(self, name)(*args, **kwargs)

    guarded.__name__ = name
    guarded.__qualname__ = f"{cls.__qualname__}.{name}"
    guarded.__module__ = cls.__module__
    return guarded
