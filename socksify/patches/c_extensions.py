"""Extension modules with network code of their own: a message names each package once, and strict refuses the module.

Each extension module is judged by its file when it is loaded (`network_code`), and those that were loaded before
install() are judged by install(). Python's own modules are not judged, nor are those that are known to be harmless. The
tables of replacements decide nothing: they say what to use instead of a module.
"""

from __future__ import annotations

import sys
from _frozen_importlib_external import ExtensionFileLoader

from socksify.elf import network_code
from socksify.patches.notices import NOTICES, goes_past, how_to_allow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from socksify.config.settings import Settings
    from socksify.patches.journal import Journal

_POSTGRESQL = "pg8000 or asyncpg"
_HTTP = "requests or httpx, or its own proxy="
# The module that the program imports, and its replacement.
MODULES = {
    # Databases
    "psycopg2": _POSTGRESQL,
    "psycopg": _POSTGRESQL,
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
    "curl_cffi": _HTTP,
    "hf_transfer": "huggingface_hub without it, HF_HUB_ENABLE_HF_TRANSFER=0",
    "hf_xet": "huggingface_hub without it, HF_HUB_DISABLE_XET=1",
    "primp": _HTTP,
    "tls_client": "requests or httpx, or its own proxies=",
    "awscrt": "botocore without it",
    "ldap": "ldap3",
    "pygit2": "dulwich",
    "pylibsshext": "paramiko or asyncssh",
    # Event loops with sockets of C
    "pyuv": "uvloop or asyncio",
}
# The replacements of packages that connect beside other work.
_REPLACEMENTS = MODULES | {
    "pyarrow": "a filesystem of fsspec's (s3fs, gcsfs, adlfs) as its filesystem=",
    "polars": "a file that fsspec or another library in Python has opened",
}
# Modules of a package that have another name at the top.
_PACKAGES = {"_polars_runtime": "polars", "_polars_runtime_32": "polars", "_polars_runtime_64": "polars"}
_PACKAGES |= {"_polars_runtime_compat": "polars", "psycopg_binary": "psycopg", "psycopg_c": "psycopg"}
_PACKAGES |= {f"_{name}": name for name in _REPLACEMENTS}
# These modules are covered by adapters, or use OpenSSL without sockets, or only query the network interfaces.
_HARMLESS = frozenset(("cryptography", "gevent", "netifaces", "psutil", "pycares", "uvloop", "zmq"))
# What the files do not tell. The modules of pyarrow share one library, and these modules connect by it. cx_Oracle loads
# its library by dlopen(3).
_CONNECTING = {"pyarrow": ("_azurefs", "_flight", "_gcsfs", "_hdfs", "_s3fs"), "cx_Oracle": ("",)}
_STANDARD = sys.stdlib_module_names
# The import machinery leaves frames of this file out of tracebacks.
_FROZEN = "<frozen importlib._bootstrap_external>"


class ImportedAlreadyError(ImportError):
    """Strict forbids a module that was imported before install()."""


def check(settings: Settings) -> None:
    """Raise ImportedAlreadyError if strict forbids a module that is imported already."""
    for name, path in _loaded() if settings.strict else ():
        if _is_unwanted(name, path, settings):
            package = _package(name)
            why = f"{package} is imported already; {_why(name)}; {how_to_allow(package)}"
            raise ImportedAlreadyError(why, name=name)


def watch(settings: Settings, journal: Journal) -> None:
    """Name each module that connects in C, or refuse it under strict, until the journal is undone."""
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


def connects(name: str, path: str) -> bool:
    """Return True if the extension module `name`, loaded from `path`, connects, and no adapter covers it."""
    top, _, rest = name.partition(".")
    if top in _STANDARD or top in _HARMLESS:
        return False
    if top in _CONNECTING:
        return rest in _CONNECTING[top]
    return network_code.connects(path)


def _look(name: str, path: str, settings: Settings) -> None:
    if not _is_unwanted(name, path, settings):
        return
    package = _package(name)
    if settings.strict:
        why = f"import of {name} refused by strict: {_why(name)}; {how_to_allow(package)}"
        raise ImportError(why, name=name)
    NOTICES.give(_why(name), package)


def _is_unwanted(name: str, path: str, settings: Settings) -> bool:
    if not connects(name, path):
        return False
    parts = name.split(".")
    names = {".".join(parts[:end]) for end in range(1, len(parts) + 1)} | {_package(name)}
    return names.isdisjoint(settings.allow)


def _loaded() -> Iterator[tuple[str, str]]:
    """Return name and file of each loaded extension module. A module of cffi has a second name without its package."""
    names: dict[str, str] = {}
    for name, module in sys.modules.copy().items():
        loader = getattr(getattr(module, "__spec__", None), "loader", None)
        if isinstance(loader, ExtensionFileLoader):
            names[loader.path] = max(name, names.get(loader.path, ""), key=len)
    return ((name, path) for path, name in names.items())


def _package(name: str) -> str:
    """Return the name under which users know the package of a module: `psycopg` for `psycopg_binary._psycopg`."""
    top = name.partition(".")[0]
    return _PACKAGES.get(top, top)


def _why(name: str) -> str:
    package = _package(name)
    return goes_past(package if package == name else f"{package} ({name})", _REPLACEMENTS.get(package))
