"""Names resolved off the event path: getaddrinfo(3) blocks, for many seconds when a name server is silent.

The threads are started with `_thread`: in a program that runs with the embedded server they must neither appear in
`threading.enumerate()` nor be waited for when it ends.
"""

from __future__ import annotations

import _thread
import socket
from _queue import SimpleQueue
from collections.abc import Callable
from typing import Any

from socksify import _real
from socksify.protocol.address import IPV4, NAME, Address, encode_name
from socksify.server.loop import Loop

# Family and address, as connect(2) wants them.
Candidate = tuple[int, tuple[Any, ...]]
Answer = Callable[[list[Candidate]], None]

THREADS = 8


class Resolver:
    """A few threads, started when they are first needed, that look names up and hand the answers to the loop."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._threads = 0
        self._questions: SimpleQueue[tuple[Address, Answer] | None] = SimpleQueue()

    def resolve(self, target: Address, answer: Answer) -> None:
        """Has `answer` called with where to connect to, in order of preference; nowhere if the name is unknown."""
        target = target.literal()
        if target.type == NAME:
            self._ask(target, answer)
        else:
            family = socket.AF_INET if target.type == IPV4 else socket.AF_INET6
            answer([(family, (target.host, target.port))])

    def close(self) -> None:
        """Ends the threads; one that is in a look-up ends after it."""
        for _ in range(self._threads):
            self._questions.put(None)

    def _ask(self, target: Address, answer: Answer) -> None:
        if self._threads < THREADS:
            self._threads += 1
            _thread.start_new_thread(self._work, ())
        self._questions.put((target, answer))

    def _work(self) -> None:
        while question := self._questions.get():
            target, answer = question
            found = look_up(target)
            self._loop.call(lambda answer=answer, found=found: answer(found))  # type: ignore[misc]


def look_up(name: Address) -> list[Candidate]:
    """What getaddrinfo(3) says; nothing when it fails, for whatever reason."""
    try:
        found = _real.getaddrinfo(
            _real.Host(encode_name(name.host)), name.port, 0, socket.SOCK_STREAM, socket.IPPROTO_TCP
        )
    except (OSError, ValueError):
        return []
    # IPv6 addresses come with flow and scope, which are kept: a link-local name needs its scope.
    return [(family, address) for family, _, _, _, address in found]
