"""The network is closed after install() has failed, so that nothing goes direct where a program swallows the exception.

It is opened by an install() that succeeds, and by uninstall(). What is refused, by an OSError with ENETDOWN, are
connections, datagrams and look-ups, whatever the address, loopback too: nobody knows what was to be direct. Unix and
netlink sockets leave no machine and stay, and so does binding to a number. This needs nothing of the package, of which
something may be missing.
"""

from __future__ import annotations

import sys
from functools import partial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_ENETDOWN = 100
# The methods that would look up a name before any audit event.
_METHODS = ("connect", "connect_ex", "sendto", "sendmsg", "bind")
_BY_ADDRESS = ("socket.connect", "socket.sendto", "socket.sendmsg")
_LOOK_UPS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo")
_STARTS = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system")
# Modules that connect in C, and that adapters of ours cover; patches/uncovered.py knows the others.
_IN_C = ("uvloop", "pycares", "zmq")
# Another interpreter would be open. To refuse the audit event of its making crashes Python 3.12, and 3.13 has none.
_INTERPRETERS = ("_interpreters", "_xxsubinterpreters")

# Why it is closed; None while it is open.
why: str | None = None
_listens = False
# Whether the audit hook is in: another one may refuse it, and sys.addaudithook() says nothing then.
_is_heard = False
# What may not be imported meanwhile.
_past: tuple[str, ...] = ()
_replaced: list[tuple[Any, str, Any]] = []
_named: set[str] = set()


def close(error: BaseException) -> None:
    """Close the network because of a failure of install()."""
    global why, _listens, _past
    what = str(error) if isinstance(error, (OSError, ValueError, ImportError)) else f"{type(error).__name__}: {error}"
    why = f"socksify: the network is closed, since install() has failed: {what}. To go without: socksify.uninstall()"
    try:
        from socksify.patches.c_extensions import MODULES

        _past = (*MODULES, *_IN_C, *_INTERPRETERS)
    except Exception:  # what has failed may be the import of this very package
        _past = (*_IN_C, *_INTERPRETERS)
    # An audit hook cannot be taken out.
    if not _listens:
        _listens = True
        sys.addaudithook(_hear)
        sys.audit("socksify.closed")
    shut_methods()
    there = [name for name in _past if name not in _INTERPRETERS and sys.modules.get(name) is not None]
    if there:
        _tell(f"{', '.join(there)} cannot be closed: what is imported already connects outside Python")


def reopen() -> None:
    """Let everything pass again."""
    global why
    why = None
    free_methods()


def shut_methods() -> None:
    """Put refusing methods in the place of those of socket.socket that take an address."""
    import _socket
    import socket

    cls, local = socket.socket, _local(socket)
    if _replaced:
        return
    # Something may be missing: install() has failed.
    for name in filter(partial(hasattr, cls), _METHODS):
        _replace(cls, name, _shut(getattr(cls, name), local))
    for module in () if _is_heard else (_socket, socket):
        names = (*(event.partition(".")[2] for event in _LOOK_UPS), "gethostbyname_ex")
        for name in filter(partial(hasattr, module), names):
            _replace(module, name, _refusing(getattr(module, name)))
    for interpreters in [sys.modules[name] for name in _INTERPRETERS if name in sys.modules]:
        _replace(interpreters, "create", _refusing(interpreters.create))


def _replace(owner: Any, name: str, new: Callable[..., Any]) -> None:
    _replaced.append((owner, name, vars(owner).get(name)))
    setattr(owner, name, new)


def free_methods() -> None:
    """Put the methods back; audit events still close the network, if it is closed."""
    while _replaced:
        cls, name, original = _replaced.pop()
        if original is None:
            delattr(cls, name)
        else:
            setattr(cls, name, original)


def _shut(original: Callable[..., Any], local: set[int]) -> Callable[..., Any]:
    def method(self: Any, *args: Any) -> Any:
        if self.family not in local and not (original.__name__ == "bind" and _is_number(self.family, args)):
            _refuse()
        return original(self, *args)

    method.__name__, method.__qualname__, method.__doc__ = original.__name__, original.__qualname__, original.__doc__
    return method


def _refusing(original: Callable[..., Any]) -> Callable[..., Any]:
    def function(*args: Any, **keywords: Any) -> Any:
        _refuse()
        return original(*args, **keywords)

    return function


def _refuse() -> None:
    if why is not None:
        raise OSError(_ENETDOWN, why)


def _is_number(family: int, args: tuple[Any, ...]) -> bool:
    import _socket

    try:
        host = args[0][0]
        return host == "" or bool(_socket.inet_pton(family, host.partition("%")[0]))
    except (OSError, AttributeError, TypeError, LookupError):
        return False


def _local(socket: Any) -> set[int]:
    return {int(getattr(socket, name)) for name in ("AF_UNIX", "AF_NETLINK") if hasattr(socket, name)}


def _hear(event: str, args: tuple[Any, ...]) -> None:
    """What goes past the methods: functions of modules, sockets of `_socket`, modules to come."""
    global _is_heard
    if why is None:
        return
    if event == "socksify.closed":
        _is_heard = True
    elif event == "socksify.install":
        reopen()
    elif event in _LOOK_UPS:
        _refuse()
    elif event in _BY_ADDRESS or event == "socket.__new__":
        _judge(event, args)
    elif event == "import" and args[0].partition(".")[0] in _past:
        raise ImportError(why, name=args[0])
    elif event in _STARTS:
        _name(args[0])


def _judge(event: str, args: tuple[Any, ...]) -> None:
    import socket

    family = args[1] if event == "socket.__new__" else args[0].family
    # A socket that is none of the socket module's would look up a name before it is heard of.
    if family not in _local(socket) and (event != "socket.__new__" or not isinstance(args[0], socket.socket)):
        _refuse()


def _name(child: Any) -> None:
    import os

    path = os.fsdecode(child)
    if path not in _named:
        _named.add(path)
        _tell(f"the child {path} is not covered: the network is closed in this process alone")


def _tell(line: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"socksify: {line}\n")
