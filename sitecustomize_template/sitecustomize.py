"""The hook: a Python that finds this file at its start goes through the proxy, from its first `import socket` on.

On PYTHONPATH its directory is enough; `socksify site install` puts a copy of it into site-packages, as `socksify_hook`.
It has to cost next to nothing and to hold when the package is gone, so it is one file that needs sys and os alone.
It is off with SOCKSIFY_DISABLE=1; else on with any SOCKSIFY_* variable, else with a `settings.toml` beside it.

Where it is on and cannot install, it closes the network and not the interpreter: what connects or looks up raises an
OSError that says why, whatever the address, since nobody knows the rules. SOCKSIFY_ON_ERROR=exit ends the program
instead, SOCKSIFY_ON_ERROR=allow lets it go on without a proxy; both say so on stderr.
"""

import os
import sys
from _frozen_importlib import module_from_spec
from _frozen_importlib_external import PathFinder

VERSION = "0.1.0"
# What `socksify site status` reads.
state = "off"
# The real paths of the sitecustomize files that have run.
visited: "set[str]" = set()

_HERE = os.path.dirname(os.path.abspath(__file__))
_SETTINGS = os.path.join(_HERE, "settings.toml")
# They say what to do with the others.
_SWITCHES = ("SOCKSIFY_DISABLE", "SOCKSIFY_ON_ERROR")
_LOCAL = ("AF_UNIX", "AF_NETLINK")
_NETWORK = ("socket", "_socket")
# Where children start; subprocess calls the one in _posixsubprocess. A program need not open a socket for that.
_STARTERS = {"os": ("execv", "execve", "posix_spawn", "posix_spawnp", "system"), "_posixsubprocess": ("fork_exec",)}
# Their originals, while ours stand in for them.
_postponed: "list[tuple]" = []


def start(environ=os.environ) -> None:
    """Wait for `socket`, if the hook is on. Its first copy in a process does, the others and the second call do not."""
    global state, _environ, _directory, _places
    if sys.modules.setdefault("socksify_hook", _ME) is not _ME or state != "off":
        return
    reason = _why_off(environ)
    state = f"off: {reason}" if reason else "waiting"
    if reason:
        return
    # As they are now: the program may change both before it opens a socket.
    _environ, _directory, _places = dict(environ), _working_directory(), list(sys.path)
    sys.meta_path.insert(0, _FINDER)
    for name in (*_STARTERS, *_NETWORK):
        if name in sys.modules:
            _arrived(name)


def _why_off(environ) -> str:
    if environ.get("SOCKSIFY_DISABLE", "").lower() in ("1", "yes", "true", "on"):
        return "SOCKSIFY_DISABLE is set"
    if any(name.startswith("SOCKSIFY_") and name not in _SWITCHES and environ[name] for name in environ):
        return ""
    try:
        os.stat(_SETTINGS)
    except (FileNotFoundError, NotADirectoryError):
        return "no SOCKSIFY_* variable, and no settings.toml beside the hook"
    except OSError:  # it is there, and loading it says what is wrong
        pass
    return ""


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError:
        return os.curdir


class _Finder:
    """Sees `socket` come, and finds our package where it was at the start: the program's directory may have another."""

    def find_spec(self, name, path=None, target=None):
        if name == "socksify":
            return PathFinder.find_spec(name, [*filter(_holds_ours, _homes()), *_places])
        if name not in _NETWORK and name not in _STARTERS:
            return None
        for finder in [finder for finder in sys.meta_path if finder is not self]:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                spec.loader = _Loader(spec)
                return spec
        return None


class _Loader:
    """Stands in for a module's loader until it is called, to hear when the module has run."""

    def __init__(self, spec) -> None:
        self._spec, self._loader = spec, spec.loader

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def create_module(self, spec):
        spec.loader = self._loader
        try:
            return module_from_spec(spec)
        finally:
            spec.loader = self

    def exec_module(self, module) -> None:
        self._spec.loader = self._loader
        self._loader.exec_module(module)
        _arrived(self._spec.name)


def _homes() -> "list[str]":
    """Where the package is beside us: in site-packages or a checkout, and in a wheel, which has us in the package."""
    above = os.path.dirname(_HERE)
    return [above, os.path.dirname(above)]


def _holds_ours(place: str) -> bool:
    # A copy of this file may lie where others may write.
    try:
        return os.stat(os.path.join(place, "socksify", "__init__.py")).st_uid == os.stat(__file__).st_uid
    except OSError:
        return False


def _arrived(name: str) -> None:
    if state != "waiting":
        return
    if name in _STARTERS:
        for function in _STARTERS[name]:
            _postpone(sys.modules[name], function)
    # `socket` begins with `import _socket`; then its own arrival comes.
    elif name == "socket" or "socket" not in sys.modules:
        _install()


def _postpone(module, name) -> None:
    """Install when a function is first called: children are to be covered, or named, too."""
    original = getattr(module, name, None)
    if original is None:
        return

    def first(*args, **keywords):
        if state == "waiting":
            _install()
        return getattr(module, name)(*args, **keywords)

    first.__name__ = first.__qualname__ = name
    setattr(module, name, first)
    _postponed.append((module, name, original))


def _install() -> None:
    global state
    state = "installing"
    while _postponed:
        setattr(*_postponed.pop())
    try:
        import socksify

        if socksify.__version__ != VERSION:
            raise ImportError(f"the hook is of socksify {VERSION}, and {socksify.__version__} is installed")
        from socksify.site.boot import install

        install(_environ, _directory, _SETTINGS)
        state = "installed"
    except BaseException as error:
        _fail(error)
        if not isinstance(error, Exception):
            raise
    finally:
        if _FINDER in sys.meta_path:
            sys.meta_path.remove(_FINDER)


def _fail(error: BaseException) -> None:
    global state
    taste = _environ.get("SOCKSIFY_ON_ERROR") or "close"
    why = _described(error)
    if taste == "allow":
        state = f"allowed: {why}"
        _tell(f"{why}; connections go direct, as SOCKSIFY_ON_ERROR=allow has it")
        return
    if taste not in ("close", "exit"):
        why += f"; and SOCKSIFY_ON_ERROR={taste!r}: expected close, exit or allow"
    _close(why, error)
    if taste == "exit":
        _tell(f"{why}; the program ends, as SOCKSIFY_ON_ERROR=exit has it")
        raise SystemExit(2)


def _described(error: BaseException) -> str:
    if isinstance(error, ImportError) and error.name == "socksify":
        return f"the package socksify {VERSION} is not there any more"
    if isinstance(error, (OSError, ValueError, ImportError)):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _tell(line: str) -> None:
    if sys.stderr is not None:
        sys.stderr.write(f"socksify: {line}\n")


def _close(why: str, cause: BaseException) -> None:
    global state
    state = f"closed: {why}"
    import errno

    way_out = f"take {_HERE} off PYTHONPATH"
    if __name__ == "socksify_hook":
        way_out = f"python -m socksify site uninstall (or delete {_HERE} and the files {_HERE}.*)"
    text = f"socksify: the network is closed: {why}. To go without: SOCKSIFY_DISABLE=1, or {way_out}"

    def refuse() -> None:
        if state.startswith("closed"):
            raise OSError(errno.ENETDOWN, text) from cause

    sys.addaudithook(_auditor(refuse))
    import socket

    _shut(socket.socket, refuse)


def _auditor(refuse):
    """C and raw `_socket` are heard of through audit events; a successful install() opens the network again."""

    def hear(event: str, args) -> None:
        global state
        if event == "socksify.install":
            state = "replaced"
        elif not event.startswith("socket."):
            return
        elif event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
            if not _is_local(args[0]):
                refuse()
        elif event == "socket.__new__":
            # A name given to its connect() would be looked up before we hear of it.
            if not issubclass(type(args[0]), sys.modules["socket"].socket) and args[1] not in _local_families():
                refuse()
        elif event.startswith(("socket.get", "socket.send")) and event != "socket.gethostname":
            refuse()

    return hear


def _shut(cls, refuse) -> None:
    """The methods that take addresses look names up before there is an event."""
    for name in ("connect", "connect_ex", "sendto", "sendmsg", "bind"):
        setattr(cls, name, _shutter(getattr(cls, name), name, refuse))


def _shutter(original, name, refuse):
    def method(self, *args):
        if not _is_local(self) and (name != "bind" or _has_name(self, *args)):
            refuse()
        return original(self, *args)

    return method


def _local_families() -> "list[int]":
    socket = sys.modules["_socket"]
    return [getattr(socket, name) for name in _LOCAL if hasattr(socket, name)]


def _is_local(sock) -> bool:
    return sock.family in _local_families()


def _has_name(sock, address) -> bool:
    host = address[0]
    try:
        return host != "" and not sys.modules["_socket"].inet_pton(sock.family, host.partition("%")[0])
    except (OSError, AttributeError):
        return True


def chain() -> None:
    """Run the next sitecustomize on sys.path, as Python would if we were not there; its exceptions are its own."""
    seen = sys.modules["socksify_hook"].visited
    seen.add(os.path.realpath(__file__))
    ahead = [number for number, entry in enumerate(sys.path) if os.path.abspath(entry or os.curdir) == _HERE]
    for entry in sys.path[ahead[0] + 1 if ahead else 0 :]:
        spec = PathFinder.find_spec("sitecustomize", [entry])
        if spec is None or spec.loader is None or os.path.realpath(spec.origin) in seen:
            continue
        seen.add(os.path.realpath(spec.origin))
        sys.modules["sitecustomize"] = module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return


_ME = sys.modules[__name__]
_FINDER = _Finder()
if __name__ == "sitecustomize":
    try:
        start()
    finally:
        chain()
