"""The hook: a Python that starts it uses the proxy, as soon as it imports `socket` or starts a child.

On PYTHONPATH, sitecustomize.py starts it. In site-packages, where `socksify site install` puts a copy, a .pth file
starts it. The hook is off with SOCKSIFY_DISABLE=1. Otherwise it is on if there is any SOCKSIFY_* variable, or a
settings.toml in this directory, or if a settings.toml was installed.

Every program pays for this file. So the file is small, and needs only sys and os. The other files are for programs for
which the hook is on. None of the files needs the package socksify: the package may be gone, and the hook must still
work. network_block.py is a link to the package's _network_block.py; a wheel and an installed hook have a copy.

The module itself is the hook of an interpreter: its variables are the hook's state, and only its functions change
them.
"""

import os
import sys
from _frozen_importlib_external import ExtensionFileLoader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

# The package checks this number: the hook may be a copy that another version of the package has installed.
FORMAT = 1
# The oldest Python that can import the package. In an older one the hook closes the network.
OLDEST = (3, 11)

_this = sys.modules[__name__]
# off, waiting, installing, installed, closed, allowed or replaced; a reason may follow a colon. `socksify site status`
# shows it. "allowed" lets the program connect directly, "replaced" tells that the program has called install() itself.
state = "off"
# Environment, working directory and sys.path at the start. The program may change them before it opens a socket.
environ: "dict[str, str]" = {}
directory = ""
path: "list[str]" = []
settings = os.path.join(os.path.dirname(__file__), "settings.toml")
# True if that file was installed. Then it must exist.
settings_installed = False
# The values of variables that are hidden from the program, by name.
hidden: "dict[str, str]" = {}
# The real paths of the sitecustomize.py files that have run.
chained: "set[str]" = set()

# The functions that start children. subprocess and multiprocessing use the last one.
_STARTERS = ("execv", "execve", "posix_spawn", "posix_spawnp", "system", "fork_exec")
# The functions that the hook has replaced: the module or class, the name, and the original.
originals: "list[tuple[Any, str, Any]]" = []

# Modules that connect in C, and so in spite of a closed network. A test compares them with the tables of the package.
_IN_C = frozenset((
    "MySQLdb", "_mysql_connector", "adns", "aerospike", "awscrt", "confluent_kafka", "curl_cffi", "cx_Oracle",
    "getdns", "grpc", "hf_transfer", "hf_xet", "ibm_db", "ldap", "mariadb", "primp", "psycopg", "psycopg2",
    "pulsar", "pycares", "pycurl", "pygit2", "pylibmc", "pylibsshext", "pymssql", "pynng", "pyodbc", "pyuv",
    "tls_client", "unbound", "uvloop", "zmq",
))  # fmt: skip
# Only this module of gevent connects in C.
PAST = _IN_C | {"gevent.resolver.cares"}
# These modules import `socket` in the middle, or never. The package patches, reports or refuses them when they are
# imported, so it must be installed before. A test compares them with the tables of the package.
_AHEAD = _IN_C | {"OpenSSL", "anyio", "concurrent.futures.process", "dns", "eventlet", "gevent", "trio", "twisted"}

# Audit events that concern this machine only: Unix sockets (1 is AF_UNIX), and the machine's name.
_LOCAL = (("socket.__new__", (1,)), ("socket.gethostname", ()))

# These variables are not settings.
_SWITCHES = ("SOCKSIFY_DISABLE", "SOCKSIFY_ON_ERROR")


def start(variables: "Mapping[str, str]" = os.environ, packages: str = "", with_settings: bool = False) -> None:
    """If the hook is on, wait for the import of `socket`. Later calls do nothing.

    `variables` is the environment. A .pth file gives its own site-packages directory as `packages`, because its
    settings are there: this copy of the hook is the first on sys.path, and may be that of another directory.
    `with_settings` is True if settings were installed there.
    """
    global state, environ, directory, path, settings, settings_installed
    if not state.startswith("off"):
        return
    file = f"{packages}/socksify_hook/settings.toml" if packages else settings
    why_off = _why_off(variables, file, with_settings)
    if why_off:
        state = f"off: {why_off}"
        return
    state, settings, settings_installed = "waiting", file, with_settings
    environ, directory, path = dict(variables), _working_directory(), list(sys.path)
    sys.meta_path.insert(0, finder)
    for name in [name for name in environ if name.startswith("SOCKSIFY_INHERITED")]:
        _hide(name, "")
    _replace_extension_loader()
    replace_starters(os)
    if "_posixsubprocess" in sys.modules:
        replace_starters(sys.modules["_posixsubprocess"])
    if "_socket" in sys.modules:
        _import_watch("after_import", str)("socket")


def enter(new_state: str) -> None:
    """Change the state. Only the hook's own modules call this."""
    global state
    state = new_state


def end() -> None:
    """Stop watching imports."""
    if finder in sys.meta_path:
        sys.meta_path.remove(finder)


def give_up() -> None:
    """Stop waiting, and never install."""
    enter("off: given up")
    restore_functions()
    reveal()
    end()


def hide(entry: str) -> None:
    """Hide the directory `entry`, which led to the hook, from the program.

    It is removed from the PYTHONPATH in os.environ. The C environment keeps it, for children.
    """
    if state not in ("waiting", "installed"):
        return
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    # The site module has made the entry absolute.
    left = [path for path in paths if os.path.abspath(path) != entry]
    if len(left) < len(paths):
        _hide("PYTHONPATH", os.pathsep.join(left))
        if entry in sys.path and hidden:
            sys.path.remove(entry)


def _hide(name: str, left: str) -> None:
    """Let os.environ have the value `left` for a variable, or no such variable if `left` is empty.

    The rest of the value leads to the hook, or a parent has passed it on. It does not concern the program.
    """
    if sys.version_info < OLDEST:
        return
    seen: dict[bytes, bytes] = getattr(os.environ, "_data", {})
    key = os.fsencode(name)
    if key in seen:
        hidden[name] = os.fsdecode(seen.pop(key))
        if left:
            seen[key] = os.fsencode(left)


def reveal() -> None:
    """Undo hide().

    If nothing is installed, no patch adds the hidden values to the environments that the program gives its children. So
    os.environ must have them again.
    """
    for name in hidden:
        theirs = os.environ.get(name, "")
        known = hidden[name].split(os.pathsep)
        added = [path for path in theirs.split(os.pathsep) if path and path not in known]
        os.environ[name] = os.pathsep.join([hidden[name], *added]) if name == "PYTHONPATH" else hidden[name]
    hidden.clear()


def shut(error: BaseException) -> None:
    """Close the network in the simplest way: only Unix sockets can be made.

    This is for an `error` in the hook itself, whose other modules would install, or close the network with care.
    """
    enter(f"closed: {type(error).__name__}: {error}")
    reveal()
    text = f"socksify: the network is closed: {__file__} cannot go on: {state[8:]}. To go without: SOCKSIFY_DISABLE=1"

    def refuse(event: str, args: "tuple[Any, ...]") -> None:
        if event == "socksify.install":
            # The program has called install() with settings that can be used.
            enter("replaced")
        elif state[:6] != "closed":
            pass
        elif _goes_past(event, args):
            raise ImportError(text, name=args[0]) from error
        elif event.startswith("socket.") and (event, args[1:2]) not in _LOCAL:
            raise OSError(100, text) from error  # ENETDOWN

    if hasattr(sys, "addaudithook"):
        sys.addaudithook(refuse)
    else:
        # Before Python 3.8 there are no audit events. `socket`, and the modules that connect without it, are replaced
        # by modules without attributes.
        for name in PAST.union(("_socket", "socket")):
            sys.modules[name] = _Closed(name, text)


class _Closed(type(sys)):  # type: ignore[misc]
    """A module each of whose attributes raises an OSError."""

    def __getattr__(self, name: str) -> None:
        raise OSError(100, self.__doc__)


def _goes_past(event: str, args: "tuple[Any, ...]") -> bool:
    """True if an audit event (PEP 578) is the import of a module that would connect though the network is closed."""
    return event == "import" and (args[0] in PAST or args[0].partition(".")[0] in PAST)


def _import_watch(name: str, instead: "Callable[..., Any]") -> "Any":
    """Return a function of import_watch.py. If that cannot be loaded, close the network and return `instead`."""
    # A program may remove modules from sys.modules that it has not imported. A second copy of this module would not
    # have been started.
    sys.modules[__name__] = _this
    try:
        from socksify_hook import import_watch

        return getattr(import_watch, name)
    except Exception as error:
        if not state.startswith("closed"):
            shut(error)
        return instead


def replace_starters(module: "ModuleType") -> None:
    """Put a _FirstStart in the place of each function of `module` that starts children.

    A program may start a child without a socket. So the first start of a child counts as an import of `socket`. In a
    Python in which nothing will be installed this is not necessary: the child finds the same environment.
    """
    if sys.version_info < OLDEST:
        return
    for name in _STARTERS:
        if hasattr(module, name):
            original = getattr(module, name)
            originals.append((module, name, original))
            setattr(module, name, _FirstStart(module, name, original))
            if original in os.supports_fd:
                os.supports_fd.add(getattr(module, name))


class _FirstStart:
    """Takes the place of a function in C until its first call, which installs.

    As an attribute of a class it does not become a method; functions in C do not, either.
    """

    def __init__(self, module: "ModuleType", name: str, original: "Any") -> None:
        self._module = module
        # For inspect.signature(), pickle and help().
        self.__name__ = self.__qualname__ = name
        self.__module__, self.__doc__, self.__wrapped__ = module.__name__, original.__doc__, original
        self.__text_signature__ = getattr(original, "__text_signature__", None)

    def __call__(self, *args: "Any", **keywords: "Any") -> "Any":
        _import_watch("install", restore_functions)()
        return getattr(self._module, self.__name__)(*args, **keywords)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)

    def __reduce__(self) -> str:
        return self.__name__


def _replace_extension_loader() -> None:
    """Install before the first extension module that connects, which may need no `socket`."""
    if sys.version_info < OLDEST:
        return
    original = ExtensionFileLoader.create_module

    def create_module(self: "Any", spec: "Any") -> "Any":
        before: Any = ExtensionFileLoader.create_module
        if spec.name.partition(".")[0] not in sys.stdlib_module_names:
            _import_watch("before_extension", _nothing)(self.path)
        # An install has put another method there, which has to see this module, too.
        now: Any = ExtensionFileLoader.create_module
        return (original if now is before else now)(self, spec)

    # The import machinery leaves frames of this file out of tracebacks.
    create_module.__code__ = create_module.__code__.replace(co_filename=original.__code__.co_filename)
    create_module.__qualname__, create_module.__module__ = original.__qualname__, original.__module__
    originals.append((ExtensionFileLoader, "create_module", original))
    setattr(*originals[-1][:2], create_module)


def restore_functions() -> None:
    """Put all functions back that were replaced."""
    while originals:
        module, name, original = originals.pop()
        os.supports_fd.discard(getattr(module, name))
        setattr(module, name, original)


def _why_off(variables: "Mapping[str, str]", file: str, with_settings: bool) -> str:
    if variables.get("SOCKSIFY_DISABLE", "").lower() in ("1", "yes", "true", "on"):
        return "SOCKSIFY_DISABLE is set"
    for name in variables:
        if name.startswith("SOCKSIFY_") and name not in _SWITCHES and variables[name]:
            return ""
    try:
        # A link without a target counts as a file that is there.
        os.lstat(file)
    except (FileNotFoundError, NotADirectoryError):
        if not with_settings:
            return f"there is no SOCKSIFY_* variable and no {file}"
    except OSError:  # the file is there; the error is reported when it is read
        pass
    return ""


def _working_directory() -> str:
    try:
        return os.getcwd()
    except OSError:
        return os.curdir


def _nothing(*_: "Any") -> None:
    pass


class _Finder:
    """Watches imports: the first finder on sys.meta_path."""

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        if name in _AHEAD:
            search = "find_ahead"
        elif name in ("socket", "_socket", "_posixsubprocess", "socksify"):
            search = "find_spec"
        else:
            return None
        spec: ModuleSpec | None = _import_watch(search, _nothing)(name, path, target)
        return spec


finder = _Finder()
