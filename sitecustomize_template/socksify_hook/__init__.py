"""The hook: a Python that starts it goes through the proxy, as soon as it imports `socket` or starts a child.

sitecustomize.py beside it starts it from PYTHONPATH, and a .pth file from site-packages, where `socksify site install`
puts a copy. It is off with SOCKSIFY_DISABLE=1; else on with any SOCKSIFY_* variable, with a settings.toml beside it, or
where one was installed; else off.

Every program pays for this file, so it is small, and sys and os are all it needs; the others are for programs that it
is on for. None of them needs the package socksify: it may be gone, and the hook must hold. network_block.py is the
package's _network_block.py, by a link, of which a wheel and an installed hook have a copy.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

# Decides whether a package serves this hook, of which this may be a copy that an older version has installed.
FORMAT = 1
_this = sys.modules[__name__]
# off, waiting, installed, closed, allowed or replaced, with a reason behind a colon: `socksify site status` shows it.
state = "off"
# As they were at the start: the program may change them before it opens a socket.
environ: "dict[str, str]" = {}
directory = ""
path: "list[str]" = []
settings = os.path.join(os.path.dirname(__file__), "settings.toml")
# Whether that file was installed; then it has to be there.
settings_installed = False
# What the program does not see of its environment, by the variables' names.
hidden: "dict[str, str]" = {}
# The real paths of the sitecustomize.py files that have run.
chained: "set[str]" = set()

# The oldest Python that the package can be imported by. An older one that finds this hook is closed.
OLDEST = (3, 11)

# Where children start; subprocess and multiprocessing use the last.
_STARTERS = ("execv", "execve", "posix_spawn", "posix_spawnp", "system", "fork_exec")
# What those were that are stood in for.
originals: "list[tuple[ModuleType, str, Any]]" = []

# The modules that connect in C, past all that closes the network. A test holds them against the tables of the package.
_IN_C = frozenset((
    "MySQLdb", "_mysql_connector", "adns", "aerospike", "awscrt", "confluent_kafka", "curl_cffi", "cx_Oracle",
    "getdns", "grpc", "hf_transfer", "hf_xet", "ibm_db", "ldap", "mariadb", "primp", "psycopg", "psycopg2",
    "pulsar", "pycares", "pycurl", "pygit2", "pylibmc", "pylibsshext", "pymssql", "pynng", "pyodbc", "pyuv",
    "tls_client", "unbound", "uvloop", "zmq",
))  # fmt: skip
# Of gevent it is one module alone.
PAST = _IN_C | {"gevent.resolver.cares"}
# `socket` arrives in the middle of these, or never. The package patches, names or refuses them as they come, so it has
# to be there before; a test holds them against its tables.
_AHEAD = _IN_C | {"OpenSSL", "anyio", "concurrent.futures.process", "dns", "eventlet", "gevent", "trio", "twisted"}

# Audit events that reach nobody: of Unix sockets (1 is AF_UNIX), and of the machine's name.
_LOCAL = (("socket.__new__", (1,)), ("socket.gethostname", ()))

# They are no settings.
_SWITCHES = ("SOCKSIFY_DISABLE", "SOCKSIFY_ON_ERROR")


def start(variables: "Mapping[str, str]" = os.environ, packages: str = "", with_settings: bool = False) -> None:
    """If the hook is on, wait for `socket`. When it is, another call does nothing.

    A .pth file tells in which site-packages it is, and so are its settings: the first copy of the hook on sys.path,
    which this is, may be another one. It tells as well whether settings were installed there.
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
    stand_in(os)
    if "_posixsubprocess" in sys.modules:
        stand_in(sys.modules["_posixsubprocess"])
    if "_socket" in sys.modules:
        _of_waiting("arrived", str)("socket")


def hide(entry: str) -> None:
    """Take the directory that led to the hook out of what the program sees of PYTHONPATH; C keeps it for children."""
    if state not in ("waiting", "installed"):
        return
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    # site has made it absolute.
    left = [path for path in paths if os.path.abspath(path) != entry]
    if len(left) < len(paths):
        _hide("PYTHONPATH", os.pathsep.join(left))
        if entry in sys.path and hidden:
            sys.path.remove(entry)


def _hide(name: str, left: str) -> None:
    """What leads to the hook, and what a parent has passed on, is none of the program's, which sees what is left."""
    if sys.version_info < OLDEST:
        return
    seen: dict[bytes, bytes] = getattr(os.environ, "_data", {})
    key = os.fsencode(name)
    if key in seen:
        hidden[name] = os.fsdecode(seen.pop(key))
        if left:
            seen[key] = os.fsencode(left)


def reveal() -> None:
    """Where nothing is installed, nobody adds it to what the program gives its children: it has to see it again."""
    for name in hidden:
        theirs = os.environ.get(name, "")
        known = hidden[name].split(os.pathsep)
        added = [path for path in theirs.split(os.pathsep) if path and path not in known]
        os.environ[name] = os.pathsep.join([hidden[name], *added]) if name == "PYTHONPATH" else hidden[name]
    hidden.clear()


def shut(error: BaseException) -> None:
    """What would install, or close the network with care, is broken itself: nothing but Unix sockets is made now."""
    global state
    state = f"closed: {type(error).__name__}: {error}"
    reveal()
    text = f"socksify: the network is closed: {__file__} cannot go on: {state[8:]}. To go without: SOCKSIFY_DISABLE=1"

    def refuse(event: str, args: "tuple[Any, ...]") -> None:
        global state
        if event == "socksify.install":
            # Somebody has given settings that can be used.
            state = "replaced"
        # 100 is ENETDOWN.
        elif state[:6] != "closed":
            pass
        elif _goes_past(event, args):
            raise ImportError(text, name=args[0]) from error
        elif event.startswith("socket.") and (event, args[1:2]) not in _LOCAL:
            raise OSError(100, text) from error

    if hasattr(sys, "addaudithook"):
        sys.addaudithook(refuse)
    else:
        # Before Python 3.8 nobody hears of anything: there is nothing in `socket`, and in what connects without it.
        for name in PAST.union(("_socket", "socket")):
            sys.modules[name] = _Closed(name, text)


class _Closed(type(sys)):  # type: ignore[misc]
    def __getattr__(self, name: str) -> None:
        raise OSError(100, self.__doc__)


def _goes_past(event: str, args: "tuple[Any, ...]") -> bool:
    """Whether an audit event (PEP 578) is the import of a module that would connect though the network is closed."""
    return event == "import" and (args[0] in PAST or args[0].partition(".")[0] in PAST)


def _of_waiting(name: str, instead: "Callable[..., Any]") -> "Any":
    """A function of import_watch.py. Where that cannot be loaded, the function shuts the network instead."""
    # A program may have unloaded what it has not imported; with a second one of us, none would have started.
    sys.modules[__name__] = _this
    try:
        from socksify_hook import import_watch

        return getattr(import_watch, name)
    except Exception as error:
        if not state.startswith("closed"):
            shut(error)
        return instead


def stand_in(module: "ModuleType") -> None:
    """Whoever starts a child needs no socket for it: the first call of what starts one counts as its import.

    Not where nothing will be installed: a child finds in its environment what its parent has found.
    """
    if sys.version_info < OLDEST:
        return
    for name in _STARTERS:
        if hasattr(module, name):
            original = getattr(module, name)
            originals.append((module, name, original))
            setattr(module, name, _First(module, name, original))
            if original in os.supports_fd:
                os.supports_fd.add(getattr(module, name))


class _First:
    """Stands in for a function in C. As an attribute of a class it becomes no method, as functions in C do not."""

    def __init__(self, module: "ModuleType", name: str, original: "Any") -> None:
        self._module = module
        # For who looks at it: inspect.signature(), pickle, help().
        self.__name__ = self.__qualname__ = name
        self.__module__, self.__doc__, self.__wrapped__ = module.__name__, original.__doc__, original
        self.__text_signature__ = getattr(original, "__text_signature__", None)

    def __call__(self, *args: "Any", **keywords: "Any") -> "Any":
        _of_waiting("install", put_back)()
        return getattr(self._module, self.__name__)(*args, **keywords)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)

    def __reduce__(self) -> str:
        return self.__name__


def put_back() -> None:
    """The functions that start children are the stdlib's again."""
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
        # A link that leads nowhere is there.
        os.lstat(file)
    except (FileNotFoundError, NotADirectoryError):
        if not with_settings:
            return f"there is no SOCKSIFY_* variable and no {file}"
    except OSError:  # it is there; what is wrong with it is told when it is read
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
    """Hears of imports."""

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        if name in _AHEAD:
            search = "find_ahead"
        elif name in ("socket", "_socket", "_posixsubprocess", "socksify"):
            search = "find_spec"
        else:
            return None
        spec: ModuleSpec | None = _of_waiting(search, _nothing)(name, path, target)
        return spec


finder = _Finder()
