"""The original functions of the standard library, taken once, before our patches replace them.

They are for code whose connections must not be routed: the connection to the proxy, the server's own sockets, and the
native case of a patch. The C methods come from `_socket.socket`, which cannot be patched. The methods that the `socket`
module adds in Python come from its class, and must not be patched already. gevent and eventlet replace that class and
some functions. In that case the originals that these libraries have saved are used.
"""

from __future__ import annotations

import _posixsubprocess
import _socket
import builtins
import os as _os
import select as _select
import socket as _python
import sys
import time as _time
from functools import partial as _partial
from types import BuiltinFunctionType, FunctionType, SimpleNamespace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any


class Socket(_socket.socket):
    """A socket of our own. The audit hook of `strict` knows such sockets by their type."""

    __slots__ = ()


class InternalHost(bytes):
    """A name that our own code looks up: that of a proxy, or of a target of the server."""

    __slots__ = ()


class InternalAddress(tuple):  # type: ignore[type-arg]
    """An address that our own code connects to or looks up."""

    __slots__ = ()


# The clock of every timeout, in seconds. freezegun replaces time.monotonic() in each module that has it, and
# time-machine changes the function itself. Neither changes clock_gettime(2) of CLOCK_MONOTONIC, the same clock.
monotonic: Callable[[], float] = (
    _partial(_time.clock_gettime, _time.CLOCK_MONOTONIC) if hasattr(_time, "clock_gettime") else _time.monotonic
)

# These return plain numbers. The attributes of socket.socket create a member of an enumeration at each access.
family: Callable[[_python.socket], int] = _socket.socket.family.__get__
kind: Callable[[_python.socket], int] = _socket.socket.type.__get__
protocol: Callable[[_python.socket], int] = _socket.socket.proto.__get__

connect = Socket.connect
connect_ex = Socket.connect_ex
bind = Socket.bind
listen = Socket.listen
getpeername = Socket.getpeername
getsockname = Socket.getsockname
getsockopt = Socket.getsockopt
setsockopt = Socket.setsockopt
gettimeout = Socket.gettimeout
recv = Socket.recv
send = Socket.send
sendto = Socket.sendto
sendmsg = Socket.sendmsg
shutdown = Socket.shutdown
close = Socket.close
init_plain = _socket.socket.__init__
detach = Socket.detach
accept_plain: Callable[[_python.socket], tuple[int, Any]] = _socket.socket._accept  # type: ignore[attr-defined]
fileno = Socket.fileno


def _stdlib_socket() -> Any:
    """Return the class that the `socket` module defines, even if its name now means another class.

    Copies of the class were made later, so the first such class in the list of subclasses is the original.
    """
    # A lazy import (PEP 810) is carried out when the module is used. The class exists only then.
    _ = _python.socket
    named = [cls for cls in _socket.socket.__subclasses__() if (cls.__module__, cls.__name__) == ("socket", "socket")]
    # Up to Python 3.11, subinterpreters share the base class `_socket.socket`, but have their own builtins.
    return next(cls for cls in named if vars(cls)["makefile"].__builtins__ is vars(builtins))


# The stdlib's socket.socket.
PythonSocket: type[_python.socket] = _stdlib_socket()


def _put_away(module: str, name: str) -> Any:
    """Return a function of a module as it was before gevent or eventlet replaced it."""
    found = getattr(__import__(module), name, None)
    if isinstance(found, BuiltinFunctionType) or getattr(found, "__module__", None) == module:
        return found
    by_gevent = sys.modules.get("gevent.monkey")
    if by_gevent is not None and by_gevent.is_object_patched(module, name):
        return by_gevent.get_original(module, name)
    by_eventlet = sys.modules.get("eventlet.patcher")
    if by_eventlet is not None:
        return getattr(by_eventlet.original(module), name)
    raise AttributeError(f"{module}.{name} is {'missing' if found is None else 'not the original'}")


def _original(owner: type | ModuleType, name: str) -> Callable[..., Any]:
    method: Callable[..., Any] = vars(owner)[name]
    if getattr(method, "__globals__", {}).get("__name__", "").startswith("socksify."):
        raise RuntimeError(f"{owner.__name__}.{name} was patched by another copy of socksify; import it only once")
    return method


def _with_original_base(method: Any) -> Callable[..., Any]:
    """Return a method of socket.socket that uses the original `_socket`.

    patches/sockets/other_classes.py replaces `_socket` in the `socket` module by a slower object that it watches.
    """
    known = {**method.__globals__, "_socket": SimpleNamespace(socket=_socket.socket)}
    return FunctionType(method.__code__, known, method.__name__, method.__defaults__, method.__closure__)


init = _with_original_base(_original(PythonSocket, "__init__"))
real_close = _original(PythonSocket, "_real_close")

getaddrinfo = _socket.getaddrinfo
gethostbyname = _socket.gethostbyname
gethostbyname_ex = _socket.gethostbyname_ex
gethostbyaddr = _socket.gethostbyaddr
getnameinfo = _socket.getnameinfo

select: Callable[..., tuple[list[Any], list[Any], list[Any]]] = _put_away("select", "select")
poll: Callable[[], _select.poll] = _put_away("select", "poll")
read: Callable[[int, int], bytes] = _put_away("os", "read")
write: Callable[[int, bytes], int] = _put_away("os", "write")
allocate_lock = _put_away("_thread", "allocate_lock")
start_new_thread = _put_away("_thread", "start_new_thread")
RLock = _put_away("_thread", "RLock")
if hasattr(_select, "epoll"):  # Linux
    epoll_register = _original(_select.epoll, "register")
    epoll_modify = _original(_select.epoll, "modify")
    epoll_unregister = _original(_select.epoll, "unregister")
    epoll_poll = _original(_select.epoll, "poll")

fork_exec = _original(_posixsubprocess, "fork_exec")
execv = _original(_os, "execv")
execve = _original(_os, "execve")
posix_spawn = _original(_os, "posix_spawn")
posix_spawnp = _original(_os, "posix_spawnp")
system = _original(_os, "system")
putenv = _original(_os, "putenv")
unsetenv = _original(_os, "unsetenv")
