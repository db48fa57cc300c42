"""Names resolved off the event path: getaddrinfo(3) blocks, for many seconds when a name server is silent."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from socksify import _real
from socksify.protocol.address import IPV4, NAME, Address, encode_name
from socksify.server.limits import one_client
from socksify.server.loop import Loop
from socksify.server.threads import Threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.server.timers import Timer

# Family and address, as connect(2) wants them.
Candidate = tuple[int, Any]
Answer = Callable[[list[Candidate]], object]


class Resolver:
    """Looks names up in threads, of which silent name servers may hold up many: so nobody waits for ever."""

    def __init__(self, loop: Loop, threads: Threads) -> None:
        self._loop = loop
        self._threads = threads

    def resolve(self, target: Address, answer: Answer, seconds: float, whose: str) -> None:
        """Has `answer` called with where to connect to, in order of preference.

        That is nowhere if the name is unknown, or not known after `seconds`; 0 is no limit. `whose` is the host of the
        client that it is for.
        """
        target = target.literal()
        if target.type != NAME:
            answer([literal(target)])
            return
        question = _Question(answer)
        if seconds:
            question.timer = self._loop.after(seconds, lambda: question.settle([]))
        # Nothing is asked for who has given up while others were before it.
        self._threads.run(
            one_client(whose), lambda: look_up(target) if question.answer is not None else [], question.settle
        )


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


def literal(target: Address) -> Candidate:
    """Where to connect to for an address that is none by name."""
    return socket.AF_INET if target.type == IPV4 else socket.AF_INET6, (target.host, target.port)


def look_up(name: Address) -> list[Candidate]:
    """What getaddrinfo(3) says; nothing when it fails, for whatever reason, or would be asked for what is not ASCII."""
    if not name.host.isascii():
        return []
    try:
        found = _real.getaddrinfo(
            _real.Host(encode_name(name.host)), name.port, 0, socket.SOCK_STREAM, socket.IPPROTO_TCP
        )
    except (OSError, ValueError):
        return []
    # IPv6 addresses come with flow and scope, which are kept: a link-local name needs its scope.
    return [(family, address) for family, _, _, _, address in found]
