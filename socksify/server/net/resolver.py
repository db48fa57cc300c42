"""Names resolved off the event path: getaddrinfo(3) blocks, for many seconds when a name server is silent."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from socksify import _originals
from socksify.protocol.address import IPV4, NAME, Address, encode_name
from socksify.routing.local_host import hosts_addresses
from socksify.server.core.loop import Loop
from socksify.server.core.thread_pool import Threads
from socksify.server.policy.limits import one_client

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.server.core.timers import Timer

# What a look-up may have open at once.
LOOK_UP_DESCRIPTORS = 2

# Family and address, as connect(2) wants them.
Candidate = tuple[int, Any]
Answer = Callable[[list[Candidate]], object]


class Resolver:
    """Looks names up in threads, of which silent name servers may hold up many: so nobody waits for ever."""

    def __init__(self, loop: Loop, threads: Threads) -> None:
        self._loop = loop
        self._threads = threads

    def resolve(self, target: Address, answer: Answer, seconds: float, client_key: str, complete: bool = False) -> None:
        """Has `answer` called with where to connect to, in order of preference.

        That is nowhere if the name is unknown, or not known after `seconds`; 0 is no limit. `client_key` is the host of
        the client that it is for. A `complete` name is looked up as it is written; any other one may also be completed
        by the search list of resolv.conf(5).
        """
        target = target.literal()
        if target.type != NAME:
            answer([candidate_of(target)])
            return
        question = _Question(answer)
        if seconds:
            question.timer = self._loop.after(seconds, lambda: question.settle([]))

        def ask() -> list[Candidate]:
            # Nothing is asked for who has given up while others were before it.
            if question.answer is None:
                return []
            return look_up_complete(target) if complete else look_up(target)

        # getaddrinfo(3) opens files and sockets. Where it cannot, it says that the host is unknown.
        self._loop.reserve.make_room(LOOK_UP_DESCRIPTORS)
        self._threads.run(one_client(client_key), ask, question.settle)


class _Question:
    """What is answered once, by a thread or when it is too late."""

    __slots__ = ("answer", "timer")

    def __init__(self, answer: Answer) -> None:
        self.answer: Answer | None = answer
        self.timer: Timer | None = None

    def settle(self, candidates: list[Candidate]) -> None:
        answer, self.answer = self.answer, None
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if answer is not None:
            answer(candidates)


def candidate_of(target: Address) -> Candidate:
    """Where to connect to for an address that is none by name."""
    return socket.AF_INET if target.type == IPV4 else socket.AF_INET6, (target.host, target.port)


def look_up(name: Address) -> list[Candidate]:
    """What getaddrinfo(3) says; nothing when it fails, for whatever reason, or would be asked for what is not ASCII."""
    return _found(_ask, name)


def look_up_complete(name: Address) -> list[Candidate]:
    """As `look_up`, for an absolute name (RFC 1034 section 3.1): no search list is applied to it."""
    return _found(_ask_for_complete, name)


def _found(ask: Callable[[bytes, int], list[Candidate]], name: Address) -> list[Candidate]:
    if not name.host.isascii():
        return []
    try:
        return ask(encode_name(name.host), name.port)
    except (OSError, ValueError):
        return []


def _ask_for_complete(host: bytes, port: int) -> list[Candidate]:
    # The forms of inet_aton(3) ("127.1", "0x7f.1") and scoped IPv6 addresses are no names. A final dot would make some.
    try:
        return _ask(host, port, socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass
    # glibc looks for the name in the hosts file as it is given, with its dot. So the name is asked for without a dot
    # where the file has it, and what does not come from the file is left out.
    literals = hosts_addresses(host.decode("ascii"))
    if literals:
        bare = _ask(host.removesuffix(b"."), port)
        return [candidate for candidate in bare if candidate[1][0] in literals]
    return _ask(host.removesuffix(b".") + b".", port)


def _ask(host: bytes, port: int, flags: int = 0) -> list[Candidate]:
    found = _originals.getaddrinfo(
        _originals.InternalHost(host), port, 0, socket.SOCK_STREAM, socket.IPPROTO_TCP, flags
    )
    # IPv6 addresses come with flow and scope, which are kept: a link-local name needs its scope.
    return [(family, address) for family, _, _, _, address in found]
