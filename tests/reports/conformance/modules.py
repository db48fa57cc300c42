"""Which of CPython's test modules are run, whatever opens a connection, and what `-m test -u` allows them."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

# The long ones first, but for test_asyncio, which is in many parts. test_asyncore and test_asynchat ended with
# Python 3.11.
_MODULES = (
    "test_socket",
    "test_asyncio",
    "test_ssl",
    "test_asyncore",
    "test_logging",
    "test_selectors",
    "test_ftplib",
    "test_imaplib",
    "test_poplib",
    "test_timeout",
    "test_select",
    "test_epoll",
    "test_poll",
    "test_smtplib",
    "test_asynchat",
    "test_httplib",
    "test_urllib2_localnet",
    "test_xmlrpc",
    "test_socketserver",
    "test_wsgiref",
)
_RESOURCES = "cpu,walltime"
# Nothing of these is run without it; there is no network but loopback where they run.
_NETWORK = ("test_timeout", "test_socketserver")


def names() -> list[str]:
    """Those that the running interpreter has, a package's submodules one by one."""
    return [name for module in _MODULES for name in _with_submodules(module)]


def _with_submodules(module: str) -> list[str]:
    found = find_spec(f"test.{module}")
    if found is None:
        return []
    directories = found.submodule_search_locations
    if directories is None:
        return [module]
    return sorted(f"{module}.{path.stem}" for each in directories for path in Path(each).glob("test_*.py"))


def resources(module: str) -> str:
    """What the module is allowed, as `-m test -u` names it."""
    return f"{_RESOURCES},network" if module in _NETWORK else _RESOURCES


def chosen(wanted: Sequence[str]) -> list[str]:
    """The modules that are asked for, by name or by the beginning of it; all when nothing is."""
    return [name for name in names() if not wanted or any(f"{name}.".startswith(f"{each}.") for each in wanted)]
