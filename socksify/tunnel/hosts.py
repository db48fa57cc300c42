"""The hosts file (hosts(5)): whose an address is, and where this machine's own names are.

It is read as glibc's resolver reads it, but kept only as far as it is about addresses and this machine: some people
have a hundred thousand names of advertisers in it.
"""

from __future__ import annotations

import os
from _socket import AF_INET, AF_INET6, gethostname, inet_ntop, inet_pton

from socksify.interrupts import ours
from socksify.tunnel.system_files import SystemFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


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
