"""Modules with network code of their own, outside Python, where no patch reaches: named once, when they come.

Under strict they do not come at all, unless they are allowed. Here stand those for which something else can be named;
others are judged by their files, in extensions.py.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

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
    from socksify.patches import extensions

    extensions.check_files(settings)


def watch(settings: Settings, journal: Journal) -> None:
    """Name each of them, or under strict refuse it, until the journal is undone; none under proxychains4."""
    from socksify.patches import extensions
    from socksify.patches.arriving import when_imported

    if settings.native and not settings.strict:
        from socksify.patches.children import native

        if native.is_loaded():
            return
    for name in _unwanted(settings):
        journal.on_undo(when_imported(name, _naming(name), refuse if settings.strict else None))
    extensions.watch_files(settings, journal)


def refuse(name: str) -> None:
    """Raises the ImportError of a module that strict does not let in."""
    raise ImportError(f"import of {name} refused by strict: {_why(name)}; {_allow(name)}", name=name)


def _unwanted(settings: Settings) -> list[str]:
    return [name for name in MODULES if name not in settings.allow]


def _naming(name: str) -> Callable[[object], None]:
    from socksify.tunnel import log

    def say(_: object) -> None:
        if name not in _named:
            _named.add(name)
            log.notice(f"{_why(name)}; or start the program with python -m socksify --native, under proxychains4")

    return say


def _why(name: str) -> str:
    return f"{name} has network code of its own, outside Python, that goes past the proxy; instead use {MODULES[name]}"


def _allow(name: str) -> str:
    return f'--allow {name}, or allow=["{name}"], lets it in all the same'
