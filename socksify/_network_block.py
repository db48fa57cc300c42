"""NetworkBlock: closes the network of this process, so that nothing goes direct while no settings can be used.

The network is closed after an install() that has failed, and when the hook for whole environments cannot install. An
install() that succeeds opens the network, and so does uninstall(). While the network is closed, connections, datagrams
and look-ups raise an OSError with ENETDOWN. This is true for every address, also for loopback, because the rules that
make destinations direct are unknown. Unix and netlink sockets keep working, because they reach no other machine. bind()
to a numeric address works, too.

This file imports nothing of the package, because parts of the package may be missing. The hook has a link to this
file, and an older Python may find the hook. Therefore the syntax is that of Python 3.6.
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
# These modules have sockets in C. Adapters cover them while the patches are installed. gevent has no other such module.
IN_C = ("gevent.resolver.cares", "pycares", "uvloop", "zmq")
# The network of another interpreter would be open. If the audit event of its creation is refused, Python 3.12 crashes,
# and Python 3.13 has no such event. Therefore the import of the module is refused.
INTERPRETERS = ("_interpreters", "_xxsubinterpreters")


def described(error: BaseException) -> str:
    """Return the text of an exception for a message. It includes the type if the text is unclear without it."""
    if isinstance(error, (OSError, ValueError, ImportError)):
        return str(error)
    return f"{type(error).__name__}: {error}"


def tell(line: str) -> None:
    """Write a line to stderr, if there is one."""
    if sys.stderr is not None:
        sys.stderr.write(f"socksify: {line}\n")


class NetworkBlock:
    """The block of one process. At first the network is open."""

    def __init__(self) -> None:
        self._why = ""
        self._cause: BaseException | None = None
        self._modules: frozenset[str] = frozenset()
        self._connects: Callable[[str, str], bool] = _never
        self._is_covered: Callable[[str, tuple[Any, ...]], bool] = _never
        self._on_reopen: Callable[[], None] = _nothing
        self._named: set[str] = set()
        # An audit hook is added once, because it cannot be removed. Another hook may refuse it in silence.
        self._has_hook = False
        self._hook_works = False
        # Owner, name, replacement, original. The original is None if the attribute was inherited.
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
        connects: "Callable[[str, str], bool] | None" = None,
        cause: "BaseException | None" = None,
        is_covered: "Callable[[str, tuple[Any, ...]], bool] | None" = None,
        on_reopen: "Callable[[], None] | None" = None,
    ) -> None:
        """Close the network.

        `why` is the text of the exceptions, and `cause` their cause. `modules` are the modules that must not be
        imported while the network is closed, because they connect in C. `connects(name, path)` tells the same of any
        extension module. `is_covered(event, arguments)` is called for each child process with the audit event of its
        start. If it returns False, the child is named on stderr; without it, every child is. `on_reopen()` is called
        when an install() that succeeds opens the network.
        """
        self._why, self._cause, self._modules = why, cause, frozenset(modules)
        self._connects = connects or _never
        self._is_covered = is_covered or _never
        self._on_reopen = on_reopen or _nothing
        # While `socket` itself is being imported, this import only reads sys.modules.
        import socket

        self._class = socket.socket
        self._local = {int(getattr(socket, name)) for name in ("AF_UNIX", "AF_NETLINK") if hasattr(socket, name)}
        self._add_audit_hook()
        if not self._replaced:
            self._replace_all()
        imported = sorted(name for name in self._modules.difference(INTERPRETERS) if sys.modules.get(name) is not None)
        if imported:
            tell(f"{', '.join(imported)} cannot be closed: already imported, with network code outside Python")

    def reopen(self) -> None:
        """Open the network again."""
        self._why = ""
        self.free_methods()

    def free_methods(self) -> None:
        """Put back the original methods and functions. A closed network stays closed, by audit events."""
        while self._replaced:
            owner, name, new, original = self._replaced.pop()
            if vars(owner).get(name) is not new:
                # A patch has replaced it since.
                continue
            if original is None:
                delattr(owner, name)
            else:
                setattr(owner, name, original)

    def refuse(self) -> None:
        """Raise the OSError of a closed network, if it is closed."""
        if self._why:
            raise OSError(_ENETDOWN, self._why) from self._cause

    def _add_audit_hook(self) -> None:
        # Python 3.8 was the first with audit events.
        if not self._has_hook and hasattr(sys, "addaudithook"):
            self._has_hook = True
            sys.addaudithook(self._on_event)
            sys.audit("socksify.closed")

    def _on_event(self, event: str, args: "tuple[Any, ...]") -> None:
        """Refuse calls that do not use the replaced methods: functions of modules, sockets of `_socket`, imports."""
        if not self._why:
            return
        if event == "socksify.closed":
            self._hook_works = True
        elif event == "socksify.install":
            self.reopen()
            self._on_reopen()
        elif event in _LOOK_UP_EVENTS:
            self.refuse()
        elif event in _ADDRESS_EVENTS:
            if args[0].family not in self._local:
                self.refuse()
        elif event == "socket.__new__":
            # A socket of another class would look up a name before the audit event of its connect().
            if args[1] not in self._local and not isinstance(args[0], self._class):
                self.refuse()
        elif event == "import":
            self.check_import(args[0], args[1])
        elif event in _START_EVENTS:
            self._name_child(event, args)

    def check_import(self, name: str, path: "str | None" = None) -> None:
        """Raise ImportError for a module that would connect in spite of the block.

        `path` is the file of an extension module that is about to be loaded.
        """
        is_known = name in self._modules or name.partition(".")[0] in self._modules
        if self._why and (is_known or (path is not None and self._connects(name, path))):
            raise ImportError(self._why, name=name) from self._cause

    def _name_child(self, event: str, args: "tuple[Any, ...]") -> None:
        path = os.fsdecode(args[0])
        if path not in self._named and not self._is_covered(event, args):
            self._named.add(path)
            tell(f"the child {path} is not covered: the network is closed in this process alone")

    def _replace_all(self) -> None:
        import _socket
        import socket

        # An attribute may be missing, and install() may have failed for that reason.
        for name in _METHODS:
            if hasattr(self._class, name):
                self._replace(self._class, name, self._blocked_method(getattr(self._class, name)))
        for module in () if self._hook_works else (_socket, socket):
            for name in _LOOK_UPS:
                if hasattr(module, name):
                    self._replace(module, name, self._blocked_function(getattr(module, name)))
        if not self._has_hook:
            self._replace_without_events()
        for name in self._modules.intersection(INTERPRETERS, sys.modules):
            interpreters: Any = sys.modules[name]
            self._replace(interpreters, "create", self._blocked_function(interpreters.create))

    def _replace_without_events(self) -> None:
        """Replace the base class of socket.socket in C, too, and check imports by a finder.

        Without audit events this is needed. `socket` has just been imported, so no other code has kept the originals.
        """
        import _socket
        import socket

        base = self._blocked_class(_socket.socket)
        for module, name in ((_socket, "socket"), (_socket, "SocketType"), (socket, "SocketType")):
            self._replace(module, name, base)
        sys.meta_path.insert(0, _Finder(self))

    def _replace(self, owner: "Any", name: str, new: "Any") -> None:
        self._replaced.append((owner, name, new, vars(owner).get(name)))
        setattr(owner, name, new)

    def _blocked_method(self, original: "Any") -> "Any":
        """Return a replacement of a method that takes an address. bind() to a numeric address sends nothing."""

        def method(sock: "Any", *args: "Any") -> "Any":
            is_harmless = original.__name__ == "bind" and _is_number(sock.family, args)
            if sock.family not in self._local and not is_harmless:
                self.refuse()
            return original(sock, *args)

        return _named_as(original, method)

    def _blocked_function(self, original: "Any") -> "Any":
        def function(*args: "Any", **keywords: "Any") -> "Any":
            self.refuse()
            return original(*args, **keywords)

        return _named_as(original, function)

    def _blocked_class(self, original: "Any") -> "Any":
        """Return a replacement of `_socket.socket`. It makes no socket that could reach another machine."""
        block = self

        class Blocked(original):  # type: ignore[misc]
            def __new__(cls, family: int = 2, *args: "Any", **keywords: "Any") -> "Blocked":
                if family not in block._local:
                    block.refuse()
                sock: Blocked = super().__new__(cls, family, *args, **keywords)
                return sock

        for name in _METHODS:
            setattr(Blocked, name, self._blocked_method(getattr(original, name)))
        Blocked.__module__ = original.__module__
        _named_as(original, Blocked)
        return Blocked


class _Finder:
    """Refuses the import of modules that must not be imported. It finds no module itself."""

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


def _never(_: str, __: "Any") -> bool:
    return False


def _nothing() -> None:
    pass


# The block of this process. The hook has its own block.
BLOCK = NetworkBlock()
