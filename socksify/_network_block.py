"""NetworkBlock: closes the network of this process, so that nothing goes direct where no settings can be used.

The network is closed after an install() that has failed, and where the hook for whole environments cannot install. It
is opened by an install() that succeeds, and by uninstall(). While it is closed, connections, datagrams and look-ups
raise an OSError with ENETDOWN, whatever the address, loopback too: nobody knows what was to be direct. Unix and netlink
sockets stay, because they reach no other machine, and so does binding to a number.

This file stands alone. The package may lack something, so nothing of the package is imported. The hook has a link to
this file, and older Pythons find the hook, so the syntax is that of Python 3.6.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

_ENETDOWN = 100
# These methods look up a name before any audit event.
_METHODS = ("connect", "connect_ex", "sendto", "sendmsg", "bind")
_LOOK_UPS = ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo")
_LOOK_UP_EVENTS = frozenset("socket." + name for name in _LOOK_UPS)
_ADDRESS_EVENTS = ("socket.connect", "socket.sendto", "socket.sendmsg")
_START_EVENTS = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system")
# These have sockets in C, which adapters cover while an installation is there. Of gevent it is this module alone.
IN_C = ("gevent.resolver.cares", "pycares", "uvloop", "zmq")
# Another interpreter would be open. Refusing the audit event of its making crashes Python 3.12, and 3.13 has no such
# event, so its module is not imported.
INTERPRETERS = ("_interpreters", "_xxsubinterpreters")


def described(error: BaseException) -> str:
    """Return what a message says of an exception; the type is left out where the text says enough."""
    if isinstance(error, (OSError, ValueError, ImportError)):
        return str(error)
    return f"{type(error).__name__}: {error}"


def tell(line: str) -> None:
    """Write a line to stderr, if there is one."""
    if sys.stderr is not None:
        sys.stderr.write(f"socksify: {line}\n")


class NetworkBlock:
    """The state of the block of one process: open at first."""

    def __init__(self) -> None:
        self._why = ""
        self._cause: BaseException | None = None
        self._modules: frozenset[str] = frozenset()
        self._is_covered: Callable[[str, tuple[Any, ...]], bool] = _is_never_covered
        self._on_reopen: Callable[[], None] = _nothing
        self._named: set[str] = set()
        # An audit hook is added once, because it cannot be removed. Another hook may refuse it in silence.
        self._has_hook = False
        self._is_heard = False
        # Owner, name, replacement, original; the original is None where the attribute was inherited.
        self._replaced: list[tuple[Any, str, Any, Any]] = []
        self._class: Any = None
        self._local: set[int] = set()

    @property
    def is_closed(self) -> bool:
        """True while the network is closed."""
        return self._why != ""

    def close(
        self,
        why: str,
        modules: "Iterable[str]",
        cause: "BaseException | None" = None,
        is_covered: "Callable[[str, tuple[Any, ...]], bool] | None" = None,
        on_reopen: "Callable[[], None] | None" = None,
    ) -> None:
        """Close the network.

        `why` is the text of the exceptions, and `cause` their cause. `modules` are the modules that may not be imported
        meanwhile, because they connect in C. `is_covered(event, arguments)` is asked about each child that is started,
        with the audit event of the start. A child for which it returns False is named on stderr; by default all are.
        `on_reopen()` is called when an install() that succeeds opens the network.
        """
        self._why, self._cause, self._modules = why, cause, frozenset(modules)
        self._is_covered = is_covered or _is_never_covered
        self._on_reopen = on_reopen or _nothing
        # While `socket` itself is being imported, this is a look into sys.modules.
        import socket

        self._class = socket.socket
        self._local = {int(getattr(socket, name)) for name in ("AF_UNIX", "AF_NETLINK") if hasattr(socket, name)}
        self._listen()
        if not self._replaced:
            self._replace_all()
        past = sorted(name for name in self._modules.difference(INTERPRETERS) if sys.modules.get(name) is not None)
        if past:
            tell(f"{', '.join(past)} cannot be closed: what is imported already connects outside Python")

    def reopen(self) -> None:
        """Let everything pass again."""
        self._why = ""
        self.free_methods()

    def free_methods(self) -> None:
        """Put back what was replaced. If the network is closed, audit events still keep it closed."""
        while self._replaced:
            owner, name, new, original = self._replaced.pop()
            if vars(owner).get(name) is not new:
                # A patch has taken its place.
                continue
            if original is None:
                delattr(owner, name)
            else:
                setattr(owner, name, original)

    def refuse(self) -> None:
        """Raise the OSError of a closed network, if it is closed."""
        if self._why:
            raise OSError(_ENETDOWN, self._why) from self._cause

    def _listen(self) -> None:
        # Python 3.8 was the first with audit events.
        if not self._has_hook and hasattr(sys, "addaudithook"):
            self._has_hook = True
            sys.addaudithook(self._hear)
            sys.audit("socksify.closed")

    def _hear(self, event: str, args: "tuple[Any, ...]") -> None:
        """Refuse what goes past the methods: functions of modules, sockets of `_socket`, modules to come."""
        if not self._why:
            return
        if event == "socksify.closed":
            self._is_heard = True
        elif event == "socksify.install":
            self.reopen()
            self._on_reopen()
        elif event in _LOOK_UP_EVENTS:
            self.refuse()
        elif event in _ADDRESS_EVENTS:
            if args[0].family not in self._local:
                self.refuse()
        elif event == "socket.__new__":
            # A socket that is none of the socket module's would look up a name before its connect() is heard of.
            if args[1] not in self._local and not isinstance(args[0], self._class):
                self.refuse()
        elif event == "import":
            self.check_import(args[0])
        elif event in _START_EVENTS:
            self._name_child(event, args)

    def check_import(self, name: str) -> None:
        """Raise ImportError for a module that would connect all the same."""
        if self._why and (name in self._modules or name.partition(".")[0] in self._modules):
            raise ImportError(self._why, name=name) from self._cause

    def _name_child(self, event: str, args: "tuple[Any, ...]") -> None:
        path = os.fsdecode(args[0])
        if path not in self._named and not self._is_covered(event, args):
            self._named.add(path)
            tell(f"the child {path} is not covered: the network is closed in this process alone")

    def _replace_all(self) -> None:
        import _socket
        import socket

        # An install() that has failed may have failed because something is missing.
        for name in _METHODS:
            if hasattr(self._class, name):
                self._replace(self._class, name, self._shut(getattr(self._class, name)))
        for module in () if self._is_heard else (_socket, socket):
            for name in _LOOK_UPS:
                if hasattr(module, name):
                    self._replace(module, name, self._refusing(getattr(module, name)))
        if not self._has_hook:
            self._replace_without_events()
        for name in self._modules.intersection(INTERPRETERS, sys.modules):
            interpreters: Any = sys.modules[name]
            self._replace(interpreters, "create", self._refusing(interpreters.create))

    def _replace_without_events(self) -> None:
        """Without audit events, replace the class in C below socket.socket too, and watch imports by a finder.

        `socket` has just been imported, so nobody has kept the originals.
        """
        import _socket
        import socket

        below = self._below(_socket.socket)
        for module, name in ((_socket, "socket"), (_socket, "SocketType"), (socket, "SocketType")):
            self._replace(module, name, below)
        sys.meta_path.insert(0, _Finder(self))

    def _replace(self, owner: "Any", name: str, new: "Any") -> None:
        self._replaced.append((owner, name, new, vars(owner).get(name)))
        setattr(owner, name, new)

    def _shut(self, original: "Any") -> "Any":
        """A method that takes an address. bind() to a number stays, because it reaches nobody."""

        def method(sock: "Any", *args: "Any") -> "Any":
            is_harmless = original.__name__ == "bind" and _is_number(sock.family, args)
            if sock.family not in self._local and not is_harmless:
                self.refuse()
            return original(sock, *args)

        return _named_as(original, method)

    def _refusing(self, original: "Any") -> "Any":
        def function(*args: "Any", **keywords: "Any") -> "Any":
            self.refuse()
            return original(*args, **keywords)

        return _named_as(original, function)

    def _below(self, original: "Any") -> "Any":
        """A class for `_socket.socket`, which makes no socket that could reach another machine."""
        block = self

        class Below(original):  # type: ignore[misc]
            def __new__(cls, family: int = 2, *args: "Any", **keywords: "Any") -> "Below":
                if family not in block._local:
                    block.refuse()
                made: Below = super().__new__(cls, family, *args, **keywords)
                return made

        for name in _METHODS:
            setattr(Below, name, self._shut(getattr(original, name)))
        Below.__module__ = original.__module__
        _named_as(original, Below)
        return Below


class _Finder:
    """Finds nothing, and stops the import of a module that may not be imported."""

    def __init__(self, block: NetworkBlock) -> None:
        self._block = block

    def find_spec(self, name: str, *_: object) -> None:
        self._block.check_import(name)


def _named_as(original: "Any", new: "Any") -> "Any":
    new.__name__, new.__qualname__, new.__doc__ = original.__name__, original.__qualname__, original.__doc__
    return new


def _is_number(family: int, args: "tuple[Any, ...]") -> bool:
    import _socket

    try:
        host = args[0][0]
        return host == "" or bool(_socket.inet_pton(family, host.partition("%")[0]))
    except (OSError, AttributeError, TypeError, LookupError):
        return False


def _is_never_covered(_: str, __: "tuple[Any, ...]") -> bool:
    return False


def _nothing() -> None:
    pass


# The block of this process. The hook has one of its own.
BLOCK = NetworkBlock()
