"""Extension modules with network code of their own that no table knows: judged by the symbols that their files import.

One that imports connect(3), getaddrinfo(3) or their kin from libc, itself or by a library that is bundled with it, is
named once for its package when it is loaded, and under strict it is not loaded. Python's own modules are not asked
about, nor those that an adapter covers.
"""

from __future__ import annotations

import os
import sys
from _frozen_importlib_external import ExtensionFileLoader

from socksify.patches import elf, uncovered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from socksify.config.settings import Settings
    from socksify.patches.journal import Journal

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
                raise uncovered.ImportedAlreadyError(why, name=name)


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
        from socksify.tunnel import log

        _named_packages.add(package)
        log.notice(f"{_why_file(name)}; or start the program with python -m socksify --native, under proxychains4")


def connects(name: str, path: str) -> bool:
    """Whether this module, in this file, has network code of its own that nobody else speaks of."""
    top, _, rest = name.partition(".")
    if top in _STANDARD or top in _HARMLESS or top in uncovered.MODULES or name in uncovered.MODULES:
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
