"""Which of CPython's test modules are run, and what `-m test -u` they need: whatever opens a connection."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import test.test_asyncio

# test_asyncore and test_asynchat ended with Python 3.11.
_MODULES = (
    "test_socket test_ssl test_logging test_selectors test_ftplib test_imaplib test_poplib test_asyncore test_timeout "
    "test_select test_epoll test_poll test_smtplib test_asynchat test_httplib test_urllib2_localnet test_xmlrpc "
    "test_socketserver test_wsgiref"
).split()
# Nothing of these is run without it; there is no network but loopback where they run.
_RESOURCES = {"test_timeout": "network", "test_socketserver": "network"}


def names() -> list[str]:
    """Those that the running interpreter has, test_asyncio's submodules one by one; the long ones first."""
    asyncio = [f"test_asyncio.{path.stem}" for path in Path(test.test_asyncio.__path__[0]).glob("test_*.py")]
    there = [name for name in _MODULES if importlib.util.find_spec(f"test.{name}") is not None]
    return there[:1] + sorted(asyncio, reverse=True) + there[1:]


def resources(module: str) -> str:
    """What the module is allowed, as `-m test -u` names it."""
    return _RESOURCES.get(module, "")


def chosen(names_: Sequence[str]) -> list[str]:
    """The modules that are asked for, by name or by the beginning of it; all when nothing is."""
    return [name for name in names() if not names_ or any(f"{name}.".startswith(f"{each}.") for each in names_)]
