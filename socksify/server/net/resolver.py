"""Look-ups of names in threads: getaddrinfo(3) blocks, for many seconds if a name server is silent."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from socksify import _originals
from socksify.protocol.address import IPV4, NAME, Address, encode_name
from socksify.routing.local_host import hosts_addresses
from socksify.server.core.loop import Loop
from socksify.server.core.thread_pool import Threads
from socksify.server.policy.limits import client_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.server.core.calls import Timer

# How many descriptors a look-up may have open at once.
LOOK_UP_DESCRIPTORS = 2

# An address to connect to: its family, and the sockaddr that connect(2) takes.
Candidate = tuple[int, Any]
Answer = Callable[[list[Candidate]], object]


class Resolver:
    """Looks names up in threads. Silent name servers may block many threads, so a look-up has a time limit."""

    def __init__(self, loop: Loop, threads: Threads) -> None:
        self._loop = loop
        self._threads = threads

    def resolve(
        self, target: Address, answer: Answer, seconds: float, client_host: str, complete: bool = False
    ) -> None:
        """Call `answer` with the addresses to connect to, in the order of preference.

        The list is empty if the name is unknown, or is not resolved within `seconds`; 0 is no limit. `client_host` is
        the address of the client that has asked, because clients share the threads fairly. A `complete` name is looked
        up as it is written. To any other name the search list of resolv.conf(5) is applied.
        """
        target = target.literal()
        if target.type != NAME:
            answer([candidate_of(target)])
            return
        pending = _LookUp(answer)
        if seconds:
            pending.limit(self._loop, seconds)

        def look_up_unless_settled() -> list[Candidate]:
            # The time may have run out before a thread was free.
            if pending.is_settled:
                return []
            return look_up_complete(target) if complete else look_up(target)

        # getaddrinfo(3) opens files and sockets. Without a descriptor it would say that the host is unknown.
        self._loop.reserve.make_room(LOOK_UP_DESCRIPTORS)
        self._threads.run(client_key(client_host), look_up_unless_settled, pending.settle)


class _LookUp:
    """A look-up that is settled once, by a thread or by the timer."""

    __slots__ = ("_answer", "_timer")

    def __init__(self, answer: Answer) -> None:
        self._answer: Answer | None = answer
        self._timer: Timer | None = None

    @property
    def is_settled(self) -> bool:
        return self._answer is None

    def limit(self, loop: Loop, seconds: float) -> None:
        """Settle the look-up without any address after this time."""
        self._timer = loop.after(seconds, lambda: self.settle([]))

    def settle(self, candidates: list[Candidate]) -> None:
        answer, self._answer = self._answer, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if answer is not None:
            answer(candidates)


def candidate_of(target: Address) -> Candidate:
    """Return the candidate of an address that is no name."""
    return socket.AF_INET if target.type == IPV4 else socket.AF_INET6, (target.host, target.port)


def look_up(name: Address) -> list[Candidate]:
    """Return the addresses that getaddrinfo(3) finds: none if it fails, or if the name is not ASCII."""
    return _candidates(_getaddrinfo, name)


def look_up_complete(name: Address) -> list[Candidate]:
    """Look up an absolute name (RFC 1034 section 3.1), like `look_up`: no search list is applied to it."""
    return _candidates(_getaddrinfo_complete, name)


def _candidates(ask: Callable[[bytes, int], list[Candidate]], name: Address) -> list[Candidate]:
    if not name.host.isascii():
        return []
    try:
        return ask(encode_name(name.host), name.port)
    except (OSError, ValueError):
        return []


def _getaddrinfo_complete(host: bytes, port: int) -> list[Candidate]:
    # inet_aton(3) reads "127.1" and "0x7f.1" as addresses, and getaddrinfo(3) reads scoped IPv6 literals. With a final
    # dot all of these would be names.
    try:
        return _getaddrinfo(host, port, socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass
    # glibc looks for the name in the hosts file as it is given, with its dot. So a name of the hosts file is asked for
    # without the dot, and answers that do not come from the file are left out.
    literals = hosts_addresses(host.decode("ascii"))
    if literals:
        answers = _getaddrinfo(host.removesuffix(b"."), port)
        return [candidate for candidate in answers if candidate[1][0] in literals]
    return _getaddrinfo(host.removesuffix(b".") + b".", port)


def _getaddrinfo(host: bytes, port: int, flags: int = 0) -> list[Candidate]:
    internal = _originals.InternalHost(host)
    found = _originals.getaddrinfo(internal, port, 0, socket.SOCK_STREAM, socket.IPPROTO_TCP, flags)
    # The sockaddr of IPv6 is kept with its flow and its scope: a link-local address needs the scope.
    return [(family, address) for family, _, _, _, address in found]
