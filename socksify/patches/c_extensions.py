"""Modules with network code of their own, outside Python, where no patch reaches: named once, when they come.

Under strict they do not come at all, unless they are allowed. Here stand those for which something else can be named;
others are judged by their files, in extensions.py.
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


# The module that the program imports, and what to use instead.
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

_named: set[str] = set()


class ImportedAlreadyError(ImportError):
    """Strict forbids a module that somebody has imported before."""


def check(settings: Settings) -> None:
    """Raises ImportedAlreadyError if strict forbids a module that is imported already."""
    for name in _unwanted(settings):
        if settings.strict and sys.modules.get(name) is not None:
            raise ImportedAlreadyError(f"{name} is imported already; {_why(name)}; {_allow(name)}", name=name)

    check_files(settings)


def watch(settings: Settings, journal: Journal) -> None:
    """Name each of them, or under strict refuse it, until the journal is undone; none under proxychains4."""
    from socksify.patches.post_import import when_imported

    if settings.native and not settings.strict:
        from socksify.patches.children import proxychains

        if proxychains.is_loaded():
            return
    for name in _unwanted(settings):
        journal.on_undo(when_imported(name, _naming(name), refuse if settings.strict else None))
    watch_files(settings, journal)


def refuse(name: str) -> None:
    """Raises the ImportError of a module that strict does not let in."""
    raise ImportError(f"import of {name} refused by strict: {_why(name)}; {_allow(name)}", name=name)


def _unwanted(settings: Settings) -> list[str]:
    return [name for name in MODULES if name not in settings.allow]


def _naming(name: str) -> Callable[[object], None]:
    from socksify.routing import log

    def say(_: object) -> None:
        if name not in _named:
            _named.add(name)
            log.notice(f"{_why(name)}; or start the program with python -m socksify --native, under proxychains4")

    return say


def _why(name: str) -> str:
    return f"{name} has network code of its own, outside Python, that goes past the proxy; instead use {MODULES[name]}"


def _allow(name: str) -> str:
    return f'--allow {name}, or allow=["{name}"], lets it in all the same'


# Extension modules with network code of their own that no table knows: judged by the symbols that their files import.
#
# One that imports connect(3), getaddrinfo(3) or their kin from libc, itself or by a library that is bundled with it, is
# named once for its package when it is loaded, and under strict it is not loaded. Python's own modules are not asked
# about, nor those that an adapter covers.


_NAMES = (
    b"connect", b"sendto", b"sendmmsg", b"getaddrinfo", b"getaddrinfo_a", b"gethostbyname", b"gethostbyname_r",
    b"gethostbyname2", b"gethostbyname2_r", b"res_query", b"__res_query", b"res_search", b"__res_search", b"res_send",
    b"__res_send", b"res_nquery", b"__res_nquery", b"res_nsearch", b"__res_nsearch",
)  # fmt: skip
# Libraries of the system's that exist to connect. What belongs to a package is looked into instead.
_LIBRARIES = (
    "libadns.", "libcares.", "libclntsh.", "libct.", "libcurl", "libgetdns.", "libgfapi.", "libgit2.", "libgrpc",
    "libhiredis.", "libldap", "libmariadb.", "libmemcached.", "libmongoc", "libmosquitto", "libmysqlclient",
    "libnanomsg.", "libneon", "libnfs.", "libnng.", "libodbc.", "libpaho", "libpq.", "librabbitmq.", "librados.",
    "librdkafka", "libsmbclient.", "libsoup", "libssh", "libsybdb.", "libunbound.", "libuv.", "libvirt.", "libzmq.",
)  # fmt: skip
# Covered by adapters; or they bring OpenSSL, whose sockets they leave alone; or they ask interfaces, and nobody else.
_HARMLESS = frozenset(("cryptography", "gevent", "netifaces", "psutil", "pycares", "uvloop", "zmq"))
# Of packages that share one library, those of their modules that connect.
_CONNECTING = {"pyarrow": ("_azurefs", "_flight", "_gcsfs", "_hdfs", "_s3fs")}
_INSTEAD = {
    "pyarrow": "a filesystem of fsspec's (s3fs, gcsfs, adlfs) as its filesystem=",
    "polars": "a file that fsspec or another library in Python has opened",
}
_MOST_LIBRARIES = 64
_STANDARD = sys.stdlib_module_names
_FROZEN = "<frozen importlib._bootstrap_external>"

_named_packages: set[str] = set()
# By path: whether it imports one of the names.
_known: dict[str, bool] = {}


def check_files(settings: Settings) -> None:
    """Raises ImportedAlreadyError if strict forbids a module that is loaded already."""
    if settings.strict:
        for name, path in _loaded():
            if connects(name, path) and not _is_allowed(name, settings):
                why = f"{_package(name)} is imported already; {_why_file(name)}; {_allow_package(name)}"
                raise ImportedAlreadyError(why, name=name)


def watch_files(settings: Settings, journal: Journal) -> None:
    """Name each of them, or under strict refuse it, until the journal is undone."""
    original = ExtensionFileLoader.create_module

    def create_module(self: Any, spec: Any) -> Any:
        _look(spec.name, self.path, settings)
        return original(self, spec)

    # The import machinery takes its own frames out of tracebacks, and this is one.
    create_module.__code__ = create_module.__code__.replace(co_filename=_FROZEN)
    create_module.__qualname__, create_module.__module__ = original.__qualname__, original.__module__
    create_module.__doc__ = original.__doc__
    journal.set_attribute(ExtensionFileLoader, "create_module", create_module)
    for name, path in _loaded():
        _look(name, path, settings)


def _look(name: str, path: str, settings: Settings) -> None:
    if not connects(name, path) or _is_allowed(name, settings):
        return
    if settings.strict:
        raise ImportError(f"import of {name} refused by strict: {_why_file(name)}; {_allow_package(name)}", name=name)
    package = _package(name)
    if package not in _named_packages:
        from socksify.routing import log

        _named_packages.add(package)
        log.notice(f"{_why_file(name)}; or start the program with python -m socksify --native, under proxychains4")


def connects(name: str, path: str) -> bool:
    """Whether this module, in this file, has network code of its own that nobody else speaks of."""
    top, _, rest = name.partition(".")
    if top in _STANDARD or top in _HARMLESS or top in MODULES or name in MODULES:
        return False
    if top in _CONNECTING and rest not in _CONNECTING[top]:
        return False
    return top in _CONNECTING or _imports(path)


def _imports(path: str) -> bool:
    """Whether a file, or a library that is bundled with it, connects."""
    if path in _known:
        return _known[path]
    waiting, seen = [path], {path}
    while waiting and len(seen) < _MOST_LIBRARIES:
        file = waiting.pop()
        if _known.get(file):
            return True
        library = elf.read(file, _NAMES)
        _known[file] = bool(library.imports) or any(soname.startswith(_LIBRARIES) for soname in library.needed)
        if _known[file]:
            _known[path] = True
            return True
        for soname in library.needed:
            bundled = _bundled(soname, library.paths, os.path.dirname(file))
            if bundled is not None and bundled not in seen:
                seen.add(bundled)
                waiting.append(bundled)
    return False


def _bundled(soname: str, paths: tuple[str, ...], origin: str) -> str | None:
    """The file of a library that a package has brought along: its path is given relative to what needs it."""
    for path in paths:
        if path.startswith(("$ORIGIN", "${ORIGIN}")):
            place = path.replace("${ORIGIN}", origin, 1).replace("$ORIGIN", origin, 1)
            file = os.path.normpath(os.path.join(place, soname))
            if os.path.isfile(file):
                return file
    return None


def _loaded() -> Iterator[tuple[str, str]]:
    """The name and the file of each that is loaded; one of cffi's has a second name, without its package."""
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


def _why_file(name: str) -> str:
    package = _package(name)
    what = package if package == name else f"{package} ({name})"
    why = f"{what} has network code of its own, outside Python, that goes past the proxy"
    return f"{why}; instead use {_INSTEAD[package]}" if package in _INSTEAD else why


def _allow_package(name: str) -> str:
    package = _package(name)
    return f'--allow {package}, or allow=["{package}"], lets it in all the same'
