"""Which extension modules and shared libraries connect, past the patches: their ELF files tell.

A file connects if it imports connect(3), getaddrinfo(3) or a similar function of libc, if a library does that is
bundled with it, or if it needs a system library whose purpose is to connect. Code in Go makes its system calls itself,
and such a file is searched for the function that connects.

A file that loads libraries by dlopen(3) is not judged by that, since nobody knows which libraries. Code in C or Rust
that makes its own system calls is not seen.
"""

from __future__ import annotations

import os
import sys

from socksify.elf import imports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_FUNCTIONS = (
    b"connect", b"sendto", b"sendmmsg", b"getaddrinfo", b"getaddrinfo_a", b"gethostbyname", b"gethostbyname_r",
    b"gethostbyname2", b"gethostbyname2_r", b"gethostbyaddr", b"gethostbyaddr_r", b"res_query", b"__res_query",
    b"res_search", b"__res_search", b"res_send", b"__res_send", b"res_nquery", b"__res_nquery", b"res_nsearch",
    b"__res_nsearch", b"res_nsend", b"__res_nsend",
)  # fmt: skip
_IN_GO = b"net.(*netFD).connect"
# Libraries whose purpose is to connect. Some of them load other libraries for that (libodbc).
_LIBRARIES = (
    "libadns.", "libcares.", "libclntsh.", "libct.", "libcurl", "libgetdns.", "libgfapi.", "libgit2.", "libgrpc",
    "libhiredis.", "libldap", "libmariadb.", "libmemcached.", "libmongoc", "libmosquitto", "libmysqlclient",
    "libnanomsg.", "libneon", "libnfs.", "libnng.", "libodbc", "libpaho", "libpq.", "librabbitmq.", "librados.",
    "librdkafka", "libsmbclient.", "libsoup", "libssh", "libsybdb.", "libunbound.", "libuv.", "libvirt.", "libzmq.",
)  # fmt: skip
# These libraries connect for a caller who gives them an address (OpenSSL), or to a service of this machine.
_HARMLESS = (
    "libX11", "libasound", "libcrypto", "libdbus-1", "libpulse", "libssl", "libsystemd", "libudev", "libuuid",
    "libwayland", "libxcb",
)  # fmt: skip
_MOST_LIBRARIES = 64
_DIRECTORIES = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib")
_LOADERS_CACHE, _LONGEST_CACHE = "/etc/ld.so.cache", 1 << 24

# By path: the imports of each file that was read, and whether a file connects. This process has loaded these files.
_read: dict[str, imports.Library] = {}
_judged: dict[str, bool] = {}


def connects(path: str) -> bool:
    """Return True if a file, or a library that is bundled with it, connects."""
    if path not in _judged:
        _judged[path] = any(_connects_itself(file) for file in _with_bundled(path))
    return _judged[path]


def library_connects(name: str) -> bool:
    """Return True if the library connects that dlopen(3) loads for a name: the name of a file, or a path."""
    stem = os.path.basename(name)
    files = [] if stem.startswith(_HARMLESS) else list(_files_of(name))
    return bool(files) and (stem.startswith(_LIBRARIES) or any(map(connects, files)))


def _connects_itself(path: str) -> bool:
    library = _library(path)
    if library.imports or any(soname.startswith(_LIBRARIES) for soname in library.needed):
        return True
    return library.is_go and _contains(path, _IN_GO)


def _library(path: str) -> imports.Library:
    if path not in _read:
        _read[path] = imports.read(path, _FUNCTIONS)
    return _read[path]


def _contains(path: str, text: bytes) -> bool:
    from mmap import ACCESS_READ, mmap

    with open(path, "rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        return data.find(text) >= 0


def _with_bundled(path: str) -> Iterator[str]:
    """Yield a file and, recursively, the bundled libraries that it needs."""
    waiting, seen = [path], {path}
    while waiting and len(seen) < _MOST_LIBRARIES:
        file = waiting.pop()
        yield file
        library = _library(file)
        sonames = [soname for soname in library.needed if not soname.startswith(_HARMLESS)]
        found = (_bundled(soname, library.paths, os.path.dirname(file)) for soname in sonames)
        new = {bundled for bundled in found if bundled is not None} - seen
        waiting += new
        seen |= new


def _bundled(soname: str, paths: tuple[str, ...], origin: str) -> str | None:
    """Return the file of a bundled library: its path is relative to the file that needs it."""
    for path in paths:
        if path.startswith(("$ORIGIN", "${ORIGIN}")):
            place = path.replace("${ORIGIN}", origin, 1).replace("$ORIGIN", origin, 1)
            file = os.path.normpath(os.path.join(place, soname))
            if os.path.isfile(file):
                return file
    return None


def _files_of(name: str) -> Iterator[str]:
    """Return the files that dlopen(3) may find for a name."""
    if "/" in name:
        return filter(os.path.isfile, [name])
    own = [os.path.join(prefix, "lib") for prefix in (sys.prefix, sys.base_prefix)]
    directories = [*os.environ.get("LD_LIBRARY_PATH", "").split(":"), *own, *_DIRECTORIES]
    paths = [os.path.join(directory, name) for directory in directories if directory]
    return filter(os.path.isfile, [*paths, *_in_loaders_cache(name)])


def _in_loaders_cache(name: str) -> Iterator[str]:
    """Yield the paths that the loader's cache (ldconfig(8)) has for a name. The cache holds each path as a string."""
    try:
        with open(_LOADERS_CACHE, "rb") as file:
            data = file.read(_LONGEST_CACHE)
    except OSError:
        return
    end = b"/" + os.fsencode(name) + b"\0"
    place = data.find(end)
    while place >= 0:
        yield os.fsdecode(data[data.rfind(b"\0", 0, place) + 1 : place + len(end) - 1])
        place = data.find(end, place + 1)
