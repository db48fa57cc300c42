"""Answers to look-ups that must not leave this machine: which literals a host stands for, and whose an address is.

A name that a proxy is to be given gets its fake address, the machine's own names and `localhost` (RFC 6761
section 6.3) what the hosts file and the interfaces say, a number stands for itself. Who asks for a name that is
routed direct, or that is resolved here, is told to ask the resolver (None).
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

    # The canonical name, the aliases, and the literals as getaddrinfo(3) sorts them.
    Answer = tuple[str, tuple[str, ...], tuple[str, ...]]

# As plain numbers: the masks of socket.AI_V4MAPPED are enumerations, which are slow.
_V4MAPPED: int = _socket.AI_V4MAPPED
_ALL: int = _socket.AI_ALL


class Lookups:
    """Answers by the rules of one Router; remembers what kind of host it was asked about."""

    # As many hosts, for as many seconds: the machine may be given another name.
    _MEMORY = 4096
    _FRESH = 10.0

    def __init__(self, router: Router) -> None:
        self._router = router
        # A name that is faked, an answer for all families, or None: the resolver is to be asked.
        self._known: dict[tuple[str, object], str | Answer | None] = {}
        self._forget_at = monotonic() + self._FRESH

    def forward(self, host: str | bytes, port: object = None, family: int = 0, flags: int = 0) -> Answer | None:
        """What a host stands for: its name, aliases and literals; None where the resolver is to be asked.

        `family` and `flags` (AI_V4MAPPED, AI_ALL) are getaddrinfo(3)'s; a number stands for itself, whatever they say.
        Raises gaierror for what can be nobody's name or has no such address, and UnicodeError as IDNA does.
        """
        if monotonic() > self._forget_at or len(self._known) >= self._MEMORY:
            self._known.clear()
            self._forget_at = monotonic() + self._FRESH
        # No bytes in keys: to compare them to str is what `python -bb` forbids.
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
        """The canonical name and the aliases of an address in its usual form; None if nobody here knows them.

        `name` is the one that the address was found by, if it was.
        """
        made_up_for = fake_addresses.TABLE.name_of(address) if fake_addresses.TABLE.is_fake(address) else None
        if made_up_for is not None:
            return made_up_for, []
        entry = local_host.hosts_entry(address)
        if entry is not None:
            return entry
        own = name or local_host.own_name(address)
        return None if own is None else (own, [])

    def may_ask(self, address: str) -> bool:
        """Whether the resolver may be asked whose an address is, of which nobody here knows."""
        return self.unknown_fake(address) is None and self._router.reverse_is_native(address)

    def unknown_fake(self, address: str) -> str | None:
        """What is wrong with an address that looks made up, and of which nobody here knows; None for a real one."""
        return self._router.unknown_fake(address)

    def may_ask_for(self, host: str | bytes, port: object = None) -> bool:
        """Whether the resolver may be asked for a host, whoever asks: for a number, or a name that is no proxy's."""
        text = _text(host)
        return numeric(text) is not None or not self._router.is_faked(text.removesuffix("."), port_number(port))

    def bindable(self, family: int, address: Any) -> Any:
        """A socket's own address-to-be without a name in it: bind(2) is not worth a question to a name server."""
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
                # C says what is wrong with it, before it asks anybody.
                return address
            raise no_such_name() from None
        return address if found is None else (found[2][0], *address[1:])

    def _find_out(self, host: str, port: object) -> str | Answer | None:
        # "<broadcast>" and "" are numbers to some functions only, which do not ask for them here.
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
    """The canonical name and the aliases of one of this machine's names, which the hosts file may not know."""
    canonical, aliases = local_host.hosts_entry(literal) or (name, [])
    if name.lower() in map(str.lower, (canonical, *aliases)):
        return canonical, tuple(aliases)
    return name, ()


def _sorted(literals: tuple[str, ...]) -> tuple[str, ...]:
    """This machine's addresses as RFC 6724 sorts them: IPv6 first, as far as there is IPv6."""
    return tuple(sorted(literals, key=lambda literal: ":" not in literal or not local_host.is_own(literal)))


def _of_family(literals: tuple[str, ...], family: int, flags: int) -> tuple[str, ...]:
    """Those that answer a question for a family; IPv4 is mapped where there is no IPv6, or where all are wanted."""
    if family != AF_INET and family != AF_INET6:
        return literals
    found = tuple(literal for literal in literals if (":" in literal) == (family == AF_INET6))
    if family == AF_INET6 and flags & _V4MAPPED and (flags & _ALL or not found):
        return literals
    return found


def _plain(given: Any) -> Any:
    return given.decode("ascii", "surrogateescape") if isinstance(given, bytes) else given


def _text(host: str | bytes) -> str:
    """A host as it is looked up: the stdlib gives every str to IDNA, and C reads up to the first null."""
    text = host.decode("latin-1") if isinstance(host, bytes) else host.encode("idna").decode("ascii")
    return text.partition("\0")[0]
