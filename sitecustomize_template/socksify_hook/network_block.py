"""The hook is on and cannot install: by default that closes the network, and leaves the interpreter alone.

What connects or looks up raises an OSError that says why, whatever the address, loopback too: where the settings cannot
be read, nobody knows what is direct. Unix sockets and netlink stay, which leave no machine. SOCKSIFY_ON_ERROR=exit ends
the program as well, SOCKSIFY_ON_ERROR=allow lets it go on without a proxy; both say so on stderr.
"""

import errno
import os
import sys

import socksify_hook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_METHODS = ("connect", "connect_ex", "sendto", "sendmsg", "bind")
_BY_ADDRESS = ("socket.connect", "socket.sendto", "socket.sendmsg")
_STARTS = ("subprocess.Popen", "os.exec", "os.posix_spawn")
_LOOK_UPS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo")


def fail(error: BaseException) -> None:
    """Do as SOCKSIFY_ON_ERROR says: `close` (the default), `exit`, which raises SystemExit, or `allow`."""
    on_error = socksify_hook.environ.get("SOCKSIFY_ON_ERROR") or "close"
    why = _described(error)
    socksify_hook.reveal()
    if on_error == "allow":
        socksify_hook.state = f"allowed: {why}"
        _tell(f"{why}; connections go direct, as SOCKSIFY_ON_ERROR=allow has it")
        return
    if on_error not in ("close", "exit"):
        why += f"; SOCKSIFY_ON_ERROR={on_error!r}: expected close, exit or allow"
    _close(f"socksify: the network is closed: {why}. To go without: {_way_out(error)}", error)
    socksify_hook.state = f"closed: {why}"
    if sys.version_info < socksify_hook.OLDEST and on_error != "exit":
        # Whoever has started it knows that it is covered, and it is not.
        _tell(f"{sys.executable}: {why}; its network is closed. To go without: {_way_out(error)}")
    if on_error == "exit":
        _tell(f"{why}; the program ends, as SOCKSIFY_ON_ERROR=exit has it")
        raise SystemExit(2)


def _described(error: BaseException) -> str:
    if _is_gone(error):
        return "the package socksify is not there; install it again"
    if isinstance(error, (OSError, ValueError, ImportError)):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _is_gone(error: BaseException) -> bool:
    return isinstance(error, ImportError) and error.name == "socksify"


def _way_out(error: BaseException) -> str:
    if any(name.startswith("SOCKSIFY_INHERITED") for name in socksify_hook.environ):
        # What a parent has passed on; it takes a switch of its own away from its children.
        return "SOCKSIFY_DISABLE=1 in the environment that the program gives this child, or --no-children for all"
    home = os.path.dirname(socksify_hook.settings)
    if not os.path.exists(f"{home}.pth"):
        return f"SOCKSIFY_DISABLE=1, or take {os.path.dirname(home)} off PYTHONPATH"
    command = "" if _is_gone(error) else f"{sys.executable} -m socksify site uninstall, or "
    return f"SOCKSIFY_DISABLE=1, or {command}delete {home} and {home}.*"


def _tell(line: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"socksify: {line}\n")


def _close(text: str, cause: BaseException) -> None:
    def refuse() -> None:
        if socksify_hook.state.startswith("closed"):
            raise OSError(errno.ENETDOWN, text) from cause

    # An import of `socket` while its own arrival is told is nothing but a look into sys.modules.
    import socket

    local = {getattr(socket, name) for name in ("AF_UNIX", "AF_NETLINK") if hasattr(socket, name)}
    for name in _METHODS:
        setattr(socket.socket, name, _shut(getattr(socket.socket, name), local, refuse))
    if hasattr(sys, "addaudithook"):
        sys.addaudithook(_listener(socket.socket, local, refuse))
    else:
        _close_without_events(local, refuse)


def _close_without_events(local: "set[int]", refuse: "Callable[[], None]") -> None:
    """Before Python 3.8, where nobody hears of anything: what looks names up, and what goes below, is replaced.

    `socket` has just been imported, so nobody has kept the originals.
    """
    import _socket
    import socket

    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo"):
        for module in (socket, _socket):
            setattr(module, name, _refusing(getattr(module, name), refuse))
    raw = _raw(_socket.socket, local, refuse)
    for module, name in ((_socket, "socket"), (_socket, "SocketType"), (socket, "SocketType")):
        setattr(module, name, raw)
    sys.meta_path.insert(0, _Refuser(refuse))


def _raw(original: "Any", local: "set[int]", refuse: "Callable[[], None]") -> "Any":
    """What stands for the class in C below socket.socket, which goes on to call its __init__()."""

    class Raw(original):  # type: ignore[misc]
        def __new__(cls, family: int = 2, *args: "Any", **keywords: "Any") -> "Raw":
            if family not in local:
                refuse()
            made: Raw = super().__new__(cls, family, *args, **keywords)
            return made

    for name in _METHODS:
        setattr(Raw, name, _shut(getattr(original, name), local, refuse))
    Raw.__name__, Raw.__qualname__, Raw.__module__ = original.__name__, original.__name__, original.__module__
    return Raw


def _refusing(original: "Any", refuse: "Callable[[], None]") -> "Any":
    def function(*args: "Any", **keywords: "Any") -> "Any":
        refuse()
        return original(*args, **keywords)

    function.__name__ = original.__name__
    return function


class _Refuser:
    """Finds nothing, and lets no module be found that connects without `socket`."""

    def __init__(self, refuse: "Callable[[], None]") -> None:
        self._refuse = refuse

    def find_spec(self, name: str, *_: object) -> None:
        if socksify_hook.goes_past("import", (name,)):
            try:
                self._refuse()
            except OSError as error:
                raise ImportError(str(error), name=name) from error


def _shut(original: "Any", local: "set[int]", refuse: "Callable[[], None]") -> "Any":
    """A method that takes an address, and would look up a name in it before any audit event.

    bind() to a number stays: it reaches nobody.
    """

    def method(self: "Any", *args: "Any") -> "Any":
        if self.family not in local and not (original.__name__ == "bind" and _is_number(self.family, args)):
            refuse()
        return original(self, *args)

    method.__name__ = original.__name__
    return method


def _is_number(family: int, args: "tuple[Any, ...]") -> bool:
    import _socket

    try:
        host = args[0][0]
        return host == "" or bool(_socket.inet_pton(family, host.partition("%")[0]))
    except (OSError, AttributeError, TypeError, LookupError):
        return False


def _listener(cls: type, local: "set[int]", refuse: "Callable[[], None]") -> "Callable[..., None]":
    """What goes below socket.socket's methods is heard of through audit events (PEP 578)."""

    def hear(event: str, args: "tuple[Any, ...]") -> None:
        if event == "socksify.install":
            # Somebody has given settings that can be used.
            socksify_hook.state = "replaced"
        elif event in _STARTS:
            if socksify_hook.state.startswith("closed"):
                _look(os.fsdecode(args[0]), args[-1])
        elif event in _LOOK_UPS:
            refuse()
        elif event in _BY_ADDRESS:
            if args[0].family not in local:
                refuse()
        elif event == "socket.__new__" and not issubclass(type(args[0]), cls) and args[1] not in local:
            # Its connect() would look names up before it is heard of.
            refuse()
        elif socksify_hook.goes_past(event, args):
            try:
                refuse()
            except OSError as error:
                raise ImportError(str(error), name=args[0]) from error

    return hear


_named: "set[str]" = set()


def _look(path: str, environ: "Any") -> None:
    """A Python that will not find this hook is as open as it ever was: there is nothing to pass on. So it is named."""
    if path in _named or not os.path.basename(path).startswith("python") or _finds_hook(path, environ):
        return
    _named.add(path)
    _tell(f"the child {path} is not covered: the network is closed in this process alone")


def _finds_hook(path: str, environ: "Any") -> bool:
    home = os.path.dirname(socksify_hook.settings)
    if os.path.exists(f"{home}.pth"):
        return path == sys.executable
    own = os.environ if environ is None else {os.fsdecode(name): os.fsdecode(environ[name]) for name in environ}
    return os.path.dirname(home) in own.get("PYTHONPATH", "").split(os.pathsep)
