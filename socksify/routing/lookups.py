"""Answers to look-ups that must not leave this machine: the addresses of a host, and the name of an address.

A name that a proxy resolves gets its fake address. The machine's own names and `localhost` (RFC 6761 section 6.3) get
the addresses of the hosts file and of the interfaces. A number stands for itself. For a name that is direct, or that is
resolved here, the answer is None: ask the resolver.
"""

from __future__ import annotations

import _socket
from _socket import AF_INET, AF_INET6

from socksify._originals import monotonic
from socksify._signal_safety import ours
from socksify.routing import fake_addresses, local_host
from socksify.routing.sockaddr import host_and_port, ip_family, may_be_name, no_such_name, numeric, port_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from socksify.routing.router import Router

    # The canonical name, the aliases, and the literals in the order of getaddrinfo(3).
    Answer = tuple[str, tuple[str, ...], tuple[str, ...]]

# Plain numbers: the masks of the `socket` module are enumerations, which are slow.
_V4MAPPED: int = _socket.AI_V4MAPPED
_ALL: int = _socket.AI_ALL


class Lookups:
    """Answers by the rules of one Router. The kind of each host is cached."""

    # The number of cached hosts, and their age in seconds: the name of the machine may change.
    _MEMORY = 4096
    _FRESH = 10.0

    def __init__(self, router: Router) -> None:
        self._router = router
        # For each host: the name that gets a fake address, an answer for all families, or None (ask the resolver).
        self._known: dict[tuple[str, object], str | Answer | None] = {}
        self._forget_at = monotonic() + self._FRESH

    def forward(self, host: str | bytes, port: object = None, family: int = 0, flags: int = 0) -> Answer | None:
        """Return (name, aliases, literals) of a host; None if the resolver has to be asked.

        `family` and `flags` (AI_V4MAPPED, AI_ALL) are those of getaddrinfo(3). A number is returned unchanged, with any
        family and flags. Raises gaierror for a name that no host can have, or that has no address of the family, and
        UnicodeError for a name that IDNA cannot encode.
        """
        if monotonic() > self._forget_at or len(self._known) >= self._MEMORY:
            self.forget()
        # Keys contain no bytes, because `python -bb` forbids to compare them with str.
        key = _plain(host), _plain(port)
        try:
            known = self._known[key]
        except ours(KeyError):
            known = self._known[key] = self._find_out(_text(host), port)
        if isinstance(known, str):
            return known, (), (fake_addresses.TABLE.address_of(known, AF_INET6 if family == AF_INET6 else AF_INET),)
        if known is None or known[0] is known[2][0]:
            return known
        literals = _of_family(known[2], family, flags)
        if not literals:
            raise no_such_name()
        return known[0], known[1], literals

    def reverse(self, address: str, name: str | None = None) -> tuple[str, list[str]] | None:
        """Return the canonical name and the aliases of an address in its usual form; None if they are not known here.

        `name` is the name by which the address was found, or None.
        """
        faked = fake_addresses.TABLE.name_of(address) if fake_addresses.TABLE.is_fake(address) else None
        if faked is not None:
            return faked, []
        entry = local_host.hosts_entry(address)
        if entry is not None:
            return entry
        own = name or local_host.own_name(address)
        return None if own is None else (own, [])

    def may_ask(self, address: str) -> bool:
        """Return True if the resolver may be asked for the name of an address that is not known here."""
        return self.unknown_fake(address) is None and self._router.reverse_is_native(address)

    def unknown_fake(self, address: str) -> str | None:
        """Return the error for a fake address that is unknown here; None for a real address."""
        return self._router.unknown_fake(address)

    def may_ask_for(self, host: str | bytes, port: object = None) -> bool:
        """Return True if the resolver may be asked for a host: for a number, or a name that no proxy resolves."""
        text = _text(host)
        return numeric(text) is not None or not self._router.is_faked(text.removesuffix("."), port_number(port))

    def forget(self) -> None:
        """Drop all cached answers."""
        self._known.clear()
        self._forget_at = monotonic() + self._FRESH

    def bindable(self, family: int, address: Any) -> Any:
        """Return an address for bind(2) without a name in it, so that bind(2) asks no name server."""
        family = ip_family(family) or 0
        if not family or not isinstance(address, tuple):
            return address
        parsed = host_and_port(family, address)
        if parsed is None or numeric(parsed[0]) is not None:
            return address
        try:
            found = self.forward(*parsed, family)
        except ours(UnicodeError):
            if isinstance(address[0], str):
                # The stdlib reports the error of the name before it asks a name server.
                return address
            raise no_such_name() from None
        return address if found is None else (found[2][0], *address[1:])

    def _find_out(self, host: str, port: object) -> str | Answer | None:
        # Only some functions accept "<broadcast>" and "" as numbers. Those functions do not call this method.
        if host and numeric(host) is not None and host != "<broadcast>":
            return host, (), (host,)
        if not may_be_name(host):
            raise no_such_name()
        name = host.removesuffix(".")
        here = local_host.addresses_here(name)
        if here is not None:
            return (*_entry(name, here[0]), _sorted(here))
        return name if self._router.is_faked(name, port_number(port)) else None


def _entry(name: str, literal: str) -> tuple[str, tuple[str, ...]]:
    """Return the canonical name and the aliases of a name of this machine. The hosts file may not have them."""
    canonical, aliases = local_host.hosts_entry(literal) or (name, [])
    if name.lower() in map(str.lower, (canonical, *aliases)):
        return canonical, tuple(aliases)
    return name, ()


def _sorted(literals: tuple[str, ...]) -> tuple[str, ...]:
    """Return addresses of this machine in the order of RFC 6724: IPv6 first, if the machine has that address."""
    return tuple(sorted(literals, key=lambda literal: ":" not in literal or not local_host.is_own(literal)))


def _of_family(literals: tuple[str, ...], family: int, flags: int) -> tuple[str, ...]:
    """Return the literals for a family. With AI_V4MAPPED, IPv4 is mapped if there is no IPv6, or with AI_ALL."""
    if family != AF_INET and family != AF_INET6:
        return literals
    found = tuple(literal for literal in literals if (":" in literal) == (family == AF_INET6))
    if family == AF_INET6 and flags & _V4MAPPED and (flags & _ALL or not found):
        return literals
    return found


def _plain(given: Any) -> Any:
    return given.decode("ascii", "surrogateescape") if isinstance(given, bytes) else given


def _text(host: str | bytes) -> str:
    """Return a host as it is looked up: the stdlib encodes every str by IDNA, and C reads up to the first null."""
    text = host.decode("latin-1") if isinstance(host, bytes) else host.encode("idna").decode("ascii")
    return text.partition("\0")[0]
