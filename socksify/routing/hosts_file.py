"""The hosts file (hosts(5)): the names of addresses, and the addresses of this machine's own names.

The file is read as glibc's resolver reads it. Only the parts about addresses and this machine are kept: some hosts
files have a hundred thousand names of advertisers.

Files of the system are kept in memory, and read again when they have changed. They are checked at most once in a
second. A thread that runs an event loop must not wait for a disk. It gets the content of the last check, while a
short-lived thread checks the file for the next caller.
"""

from __future__ import annotations

import os
import sys
from _socket import AF_INET, AF_INET6, gethostname, inet_ntop, inet_pton

from socksify import _originals
from socksify._originals import monotonic
from socksify._signal_safety import ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any


class SystemFile:
    """The file at a path, whose content `parse` reads. A file that cannot be read counts as empty."""

    # Seconds between two checks of the file. Every connect() to a name calls read().
    _FRESH = 1.0

    def __init__(self, path: str, parse: Callable[[bytes], Any]) -> None:
        self._path = path
        self._parse = parse
        self._found: Any = None
        self._state: object = None
        self._check_at = 0.0

    def read(self) -> Any:
        """Return the content of the file; in the thread of an event loop, the content at the last check."""
        now = monotonic()
        if now >= self._check_at:
            if self._state is None or not _runs_loop() or not self._check_in_thread():
                self._check()
            self._check_at = now + self._FRESH
        return self._found

    def _check_in_thread(self) -> bool:
        try:
            _originals.start_new_thread(self._check, ())
        except ours(RuntimeError):  # no more threads
            return False
        return True

    def _check(self) -> None:
        state = self._state_now()
        if state != self._state:
            self._found = self._parse(contents(self._path))
            self._state = state

    def _state_now(self) -> object:
        """Return a value that differs if the file has changed."""
        try:
            found = os.stat(self._path)
        except ours(OSError):
            return "unreadable"
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def contents(path: str) -> bytes:
    """Return the content of a file, or nothing if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except ours(OSError):
        return b""


def _runs_loop() -> bool:
    """Return True if an event loop runs in this thread: one of asyncio, or of uvloop, which registers with asyncio."""
    asyncio = sys.modules.get("_asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None


class Hosts:
    """The content of the file on a machine called `hostname`. Names are in lower case, without a final dot."""

    def __init__(self, content: bytes, hostname: str) -> None:
        # The canonical name and the aliases of an address, as written. If several lines have it, the first one counts.
        self.by_address: dict[str, tuple[str, list[str]]] = {}
        # All names of this machine: its host name, and all names on the lines that have the host name.
        self.own_names = _own_names(hostname)
        # The addresses on those lines.
        self.own_addresses: tuple[str, ...] = ()
        # The addresses of the machine's own names, of localhost, and of all other names for loopback.
        self.by_name: dict[str, tuple[str, ...]] = {}
        self._learn_own(content)
        # Many names may have the same addresses: hosts files send advertisers to loopback.
        shared: dict[tuple[str, ...], tuple[str, ...]] = {}
        for literal, names in _lines(content):
            for name in map(folded, names):
                if name in self.own_names or name in self.by_name or is_localhost(name):
                    literals = _with(self.by_name.get(name, ()), literal)
                    self.by_name[name] = shared.setdefault(literals, literals)

    def _learn_own(self, content: bytes) -> None:
        host_names = frozenset(self.own_names)
        for literal, names in _lines(content):
            if is_loopback(literal):
                self.by_name.update(dict.fromkeys(map(folded, names), ()))
            self.by_address.setdefault(literal, (names[0], names[1:]))
            if not host_names.isdisjoint(map(folded, names)):
                self.own_names.update(name for name in map(folded, names) if not is_localhost(name))
                self.own_addresses = _with(self.own_addresses, literal)


class HostsFile(SystemFile):
    """The hosts file at a path. It is read again when it, or the name of the machine, has changed."""

    def __init__(self, path: str) -> None:
        super().__init__(path, lambda content: Hosts(content, gethostname()))

    if TYPE_CHECKING:

        def read(self) -> Hosts: ...

    def _state_now(self) -> object:
        return gethostname(), super()._state_now()


def folded(name: str) -> str:
    """Return the name in the form in which names are compared here."""
    return name.lower().removesuffix(".")


def is_localhost(name: str) -> bool:
    """Return True for a folded name of localhost (RFC 6761 section 6.3): "localhost." and names below it."""
    return name == "localhost" or name.endswith(".localhost")


def is_loopback(literal: str) -> bool:
    """Return True if a literal in its usual form is a loopback address (RFC 1122 section 3.2.1.3, RFC 4291)."""
    return literal.startswith("127.") or literal == "::1"


def literals_of(name: str, content: bytes) -> tuple[str, ...]:
    """Return the literals on the lines of a hosts file that have this name, in the order of the file."""
    wanted = folded(name)
    # A file of a hundred thousand lines is parsed only if it may contain the name.
    if os.fsencode(wanted) not in content.lower():
        return ()
    found: tuple[str, ...] = ()
    for literal, names in _lines(content):
        if wanted in map(folded, names):
            found = _with(found, literal)
    return found


def _own_names(hostname: str) -> set[str]:
    name = folded(hostname)
    return {name for name in (name, name.partition(".")[0]) if name and not is_localhost(name)}


def _lines(content: bytes) -> Iterator[tuple[str, list[str]]]:
    """Yield the literal and the names of each line that has both."""
    for line in content.split(b"\n"):
        fields = line.partition(b"#")[0].split()
        literal = _literal(os.fsdecode(fields[0])) if len(fields) > 1 else None
        if literal is not None:
            yield literal, [os.fsdecode(name) for name in fields[1:]]


def _literal(text: str) -> str | None:
    """Return an address in its usual form; None for a text that is no address. A line with such a text is ignored."""
    family = AF_INET6 if ":" in text else AF_INET
    try:
        return inet_ntop(family, inet_pton(family, text))
    except ours(OSError, ValueError):
        return None


def _with(literals: tuple[str, ...], literal: str) -> tuple[str, ...]:
    return literals if literal in literals else (*literals, literal)
