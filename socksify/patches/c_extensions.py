"""Modules with network code in C, which the patches do not reach. A message names each module once; strict refuses it.

There are two kinds. MODULES is a table of known modules, each with a replacement. Every other extension module is
judged by its file when it is loaded. The module connects if its file, or a library that is bundled with it, imports
connect(3), getaddrinfo(3) or a similar function of libc, or needs a system library whose purpose is to connect.
Python's own modules and the modules of _HARMLESS are not judged.
"""

from __future__ import annotations

import os
import sys
from _frozen_importlib_external import ExtensionFileLoader

from socksify.patches import elf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from socksify.config.settings import Settings
    from socksify.patches.journal import Journal


# The module that the program imports, and its replacement.
MODULES = {
    # Databases
    "psycopg2": "pg8000 or asyncpg",
    "psycopg": "pg8000 or asyncpg",
    "MySQLdb": "PyMySQL",
    "mariadb": "PyMySQL",
    "_mysql_connector": "mysql.connector with use_pure=True",
    "pymssql": "pytds",
    "cx_Oracle": "oracledb in its thin mode",
    "pyodbc": "a driver in Python for that database",
    "ibm_db": "a driver in Python for that database",
    "aerospike": "a client in Python",
    "pylibmc": "pymemcache",
    # Messages
    "confluent_kafka": "aiokafka or kafka-python",
    "pulsar": "a client in Python",
    "pynng": "a client in Python",
    "grpc": "grpclib",
    # Names
    "adns": "dnspython",
    "getdns": "dnspython",
    "unbound": "dnspython",
    # HTTP and others
    "pycurl": "requests or httpx, or its option PROXY",
    "curl_cffi": "requests or httpx, or its own proxy=",
    "hf_transfer": "huggingface_hub without it, HF_HUB_ENABLE_HF_TRANSFER=0",
    "hf_xet": "huggingface_hub without it, HF_HUB_DISABLE_XET=1",
    "primp": "requests or httpx, or its own proxy=",
    "tls_client": "requests or httpx, or its own proxies=",
    "awscrt": "botocore without it",
    "ldap": "ldap3",
    "pygit2": "dulwich",
    "pylibsshext": "paramiko or asyncssh",
    # Event loops with sockets of C
    "pyuv": "uvloop or asyncio",
}
# The replacements of packages that are judged by their files.
_INSTEAD = {
    "pyarrow": "a filesystem of fsspec's (s3fs, gcsfs, adlfs) as its filesystem=",
    "polars": "a file that fsspec or another library in Python has opened",
}
_FUNCTIONS = (
    b"connect", b"sendto", b"sendmmsg", b"getaddrinfo", b"getaddrinfo_a", b"gethostbyname", b"gethostbyname_r",
    b"gethostbyname2", b"gethostbyname2_r", b"res_query", b"__res_query", b"res_search", b"__res_search", b"res_send",
    b"__res_send", b"res_nquery", b"__res_nquery", b"res_nsearch", b"__res_nsearch",
)  # fmt: skip
# System libraries whose purpose is to connect. A library that a package brings along is judged by its own file.
_LIBRARIES = (
    "libadns.", "libcares.", "libclntsh.", "libct.", "libcurl", "libgetdns.", "libgfapi.", "libgit2.", "libgrpc",
    "libhiredis.", "libldap", "libmariadb.", "libmemcached.", "libmongoc", "libmosquitto", "libmysqlclient",
    "libnanomsg.", "libneon", "libnfs.", "libnng.", "libodbc.", "libpaho", "libpq.", "librabbitmq.", "librados.",
    "librdkafka", "libsmbclient.", "libsoup", "libssh", "libsybdb.", "libunbound.", "libuv.", "libvirt.", "libzmq.",
)  # fmt: skip
# These modules are covered by adapters, or use OpenSSL without sockets, or only query the network interfaces.
_HARMLESS = frozenset(("cryptography", "gevent", "netifaces", "psutil", "pycares", "uvloop", "zmq"))
# The modules of these packages share one library. Only the modules listed here connect.
_CONNECTING = {"pyarrow": ("_azurefs", "_flight", "_gcsfs", "_hdfs", "_s3fs")}
_MOST_LIBRARIES = 64
_STANDARD = sys.stdlib_module_names
# The import machinery leaves frames of this file out of tracebacks.
_FROZEN = "<frozen importlib._bootstrap_external>"

# Each package is named once in a process, even if install() is called again.
_named: set[str] = set()
# Path of a file -> True if the file connects. The dict has one entry for each extension file that this process loads.
_judged: dict[str, bool] = {}


class ImportedAlreadyError(ImportError):
    """Strict forbids a module that was imported before install()."""


def check(settings: Settings) -> None:
    """Raise ImportedAlreadyError if strict forbids a module that is imported already."""
    if not settings.strict:
        return
    for name in _unwanted(settings):
        if sys.modules.get(name) is not None:
            raise ImportedAlreadyError(f"{name} is imported already; {_why(name)}; {_allow(name)}", name=name)
    for name, path in _loaded():
        if connects(name, path) and not _is_allowed(name, settings):
            package = _package(name)
            why = f"{package} is imported already; {_why_file(name)}; {_allow(package)}"
            raise ImportedAlreadyError(why, name=name)


def watch(settings: Settings, journal: Journal) -> None:
    """Name each module that connects in C, or refuse it under strict, until the journal is undone."""
    from socksify.patches.post_import import when_imported

    for name in _unwanted(settings):
        journal.on_undo(when_imported(name, _namer(name), refuse if settings.strict else None))
    _watch_files(settings, journal)


def refuse(name: str) -> None:
    """Raise the ImportError of a module of the table that strict forbids."""
    raise ImportError(f"import of {name} refused by strict: {_why(name)}; {_allow(name)}", name=name)


def _unwanted(settings: Settings) -> list[str]:
    return [name for name in MODULES if name not in settings.allow]


def _namer(name: str) -> Callable[[object], None]:
    return lambda _: _name_once(name, _why(name))


def _name_once(package: str, why: str) -> None:
    from socksify.routing import log

    if package not in _named:
        _named.add(package)
        log.notice(why)


def _watch_files(settings: Settings, journal: Journal) -> None:
    original = ExtensionFileLoader.create_module

    def create_module(self: Any, spec: Any) -> Any:
        _look(spec.name, self.path, settings)
        return original(self, spec)

    create_module.__code__ = create_module.__code__.replace(co_filename=_FROZEN)
    create_module.__qualname__, create_module.__module__ = original.__qualname__, original.__module__
    create_module.__doc__ = original.__doc__
    journal.set_attribute(ExtensionFileLoader, "create_module", create_module)
    for name, path in _loaded():
        _look(name, path, settings)


def _look(name: str, path: str, settings: Settings) -> None:
    if not connects(name, path) or _is_allowed(name, settings):
        return
    why, package = _why_file(name), _package(name)
    if settings.strict:
        raise ImportError(f"import of {name} refused by strict: {why}; {_allow(package)}", name=name)
    _name_once(package, why)


def connects(name: str, path: str) -> bool:
    """Return True if the extension module `name`, loaded from `path`, connects and is in no table of ours."""
    top, _, rest = name.partition(".")
    if top in _STANDARD or top in _HARMLESS or top in MODULES or name in MODULES:
        return False
    if top in _CONNECTING and rest not in _CONNECTING[top]:
        return False
    return top in _CONNECTING or _imports(path)


def _imports(path: str) -> bool:
    """Return True if a file, or a library that is bundled with it, connects."""
    if path not in _judged:
        _judged[path] = any(map(_judge, _with_bundled(path)))
    return _judged[path]


def _with_bundled(path: str) -> Iterator[elf.Library]:
    """Yield a file and, recursively, the bundled libraries that it needs."""
    waiting, seen = [path], {path}
    while waiting and len(seen) < _MOST_LIBRARIES:
        file = waiting.pop()
        library = elf.read(file, _FUNCTIONS)
        yield library
        found = (_bundled(soname, library.paths, os.path.dirname(file)) for soname in library.needed)
        new = {bundled for bundled in found if bundled is not None} - seen
        waiting += new
        seen |= new


def _judge(library: elf.Library) -> bool:
    return bool(library.imports) or any(soname.startswith(_LIBRARIES) for soname in library.needed)


def _bundled(soname: str, paths: tuple[str, ...], origin: str) -> str | None:
    """Return the file of a bundled library: its path is relative to the file that needs it."""
    for path in paths:
        if path.startswith(("$ORIGIN", "${ORIGIN}")):
            place = path.replace("${ORIGIN}", origin, 1).replace("$ORIGIN", origin, 1)
            file = os.path.normpath(os.path.join(place, soname))
            if os.path.isfile(file):
                return file
    return None


def _loaded() -> Iterator[tuple[str, str]]:
    """Return name and file of each loaded extension module. A module of cffi has a second name without its package."""
    names: dict[str, str] = {}
    for name, module in sys.modules.copy().items():
        loader = getattr(getattr(module, "__spec__", None), "loader", None)
        if isinstance(loader, ExtensionFileLoader):
            names[loader.path] = max(name, names.get(loader.path, ""), key=len)
    return ((name, path) for path, name in names.items())


def _package(name: str) -> str:
    top = name.partition(".")[0]
    return "polars" if top.startswith("_polars") else top


def _is_allowed(name: str, settings: Settings) -> bool:
    parts = name.split(".")
    names = {".".join(parts[:end]) for end in range(1, len(parts) + 1)} | {_package(name)}
    return not names.isdisjoint(settings.allow)


def _why(name: str) -> str:
    return f"{name} has network code of its own, outside Python, that goes past the proxy; instead use {MODULES[name]}"


def _why_file(name: str) -> str:
    package = _package(name)
    what = package if package == name else f"{package} ({name})"
    why = f"{what} has network code of its own, outside Python, that goes past the proxy"
    return f"{why}; instead use {_INSTEAD[package]}" if package in _INSTEAD else why


def _allow(name: str) -> str:
    return f'--allow {name}, or allow=["{name}"], lets it in all the same'
