"""The hosts file (hosts(5)): whose an address is, and where this machine's own names are.

It is read as glibc's resolver reads it, but kept only as far as it is about addresses and this machine: some people
have a hundred thousand names of advertisers in it.
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

# Files of the system's, such as /etc/hosts: what they say is kept, and read again when they have changed.
#
# They are looked at once in a second, by whoever asks. A thread that runs an event loop is not to wait for a disk: it
# gets what is known, and a short-lived thread looks at the file for the next who asks.


class SystemFile:
    """The file at a path, as `parse` understands its content; a file that cannot be read is an empty one."""

    # Seconds for which it is not looked at again: every connect() to a name asks.
    _FRESH = 1.0

    def __init__(self, path: str, parse: Callable[[bytes], Any]) -> None:
        self._path = path
        self._parse = parse
        self._found: Any = None
        self._state: object = None
        self._look_at = 0.0

    def read(self) -> Any:
        """What the file says now; on the thread of an event loop, what it said when it was looked at last."""
        now = monotonic()
        if now >= self._look_at:
            if self._state is None or not _runs_loop() or not self._look_elsewhere():
                self._look()
            self._look_at = now + self._FRESH
        return self._found

    def _look_elsewhere(self) -> bool:
        try:
            _originals.start_new_thread(self._look, ())
        except ours(RuntimeError):  # no more threads
            return False
        return True

    def _look(self) -> None:
        state = self._looks()
        if state != self._state:
            self._found = self._parse(contents(self._path))
            self._state = state

    def _looks(self) -> object:
        """What is another when the file is another."""
        try:
            found = os.stat(self._path)
        except ours(OSError):
            return "unreadable"
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def contents(path: str) -> bytes:
    """What a file of the system's holds; nothing if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except ours(OSError):
        return b""


def _runs_loop() -> bool:
    """Whether an event loop runs in this thread: one of asyncio's, or uvloop's, which says so to asyncio."""
    asyncio = sys.modules.get("_asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None


class Hosts:
    """What the file says on a machine called `hostname`; names are in lower case, without a final dot."""

    def __init__(self, content: bytes, hostname: str) -> None:
        # The canonical name and the aliases, as they are written; of several lines on an address the first counts.
        self.by_address: dict[str, tuple[str, list[str]]] = {}
        # All names of this machine: what it calls itself, and what else stands on the lines that mention that.
        self.own_names = _own_names(hostname)
        # The addresses on those lines.
        self.own_addresses: tuple[str, ...] = ()
        # The addresses of the machine's own names, of localhost, and of all other names for loopback.
        self.by_name: dict[str, tuple[str, ...]] = {}
        self._learn_own(content)
        # Many names have the same ones, where advertisers are sent to loopback.
        shared: dict[tuple[str, ...], tuple[str, ...]] = {}
        for literal, names in _lines(content):
            for name in map(folded, names):
                if name in self.own_names or name in self.by_name or is_localhost(name):
                    literals = _with(self.by_name.get(name, ()), literal)
                    self.by_name[name] = shared.setdefault(literals, literals)

    def _learn_own(self, content: bytes) -> None:
        called = frozenset(self.own_names)
        for literal, names in _lines(content):
            if is_loopback(literal):
                self.by_name.update(dict.fromkeys(map(folded, names), ()))
            self.by_address.setdefault(literal, (names[0], names[1:]))
            if not called.isdisjoint(map(folded, names)):
                self.own_names.update(name for name in map(folded, names) if not is_localhost(name))
                self.own_addresses = _with(self.own_addresses, literal)


class HostsFile(SystemFile):
    """The file at a path, read again when it, or the machine's name, has changed."""

    def __init__(self, path: str) -> None:
        super().__init__(path, lambda content: Hosts(content, gethostname()))

    if TYPE_CHECKING:

        def read(self) -> Hosts: ...

    def _looks(self) -> object:
        return gethostname(), super()._looks()


def folded(name: str) -> str:
    """The name as names are compared here."""
    return name.lower().removesuffix(".")


def is_localhost(name: str) -> bool:
    """RFC 6761 section 6.3: "the domain localhost. and any names falling within .localhost."; `name` is folded."""
    return name == "localhost" or name.endswith(".localhost")


def is_loopback(literal: str) -> bool:
    """Whether a literal in its usual spelling is an address of loopback (RFC 1122 section 3.2.1.3, RFC 4291)."""
    return literal.startswith("127.") or literal == "::1"


def literals_of(name: str, content: bytes) -> tuple[str, ...]:
    """The literals on the lines of a hosts file that have this name, in the file's order."""
    wanted = folded(name)
    # A file of a hundred thousand lines is taken apart only where the name may be in it.
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
    """The literal and the names of each line that has both."""
    for line in content.split(b"\n"):
        fields = line.partition(b"#")[0].split()
        literal = _literal(os.fsdecode(fields[0])) if len(fields) > 1 else None
        if literal is not None:
            yield literal, [os.fsdecode(name) for name in fields[1:]]


def _literal(text: str) -> str | None:
    """An address in its usual spelling; None for what inet_pton(3) does not read: such lines do not count."""
    family = AF_INET6 if ":" in text else AF_INET
    try:
        return inet_ntop(family, inet_pton(family, text))
    except ours(OSError, ValueError):
        return None


def _with(literals: tuple[str, ...], literal: str) -> tuple[str, ...]:
    return literals if literal in literals else (*literals, literal)
