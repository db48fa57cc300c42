"""Names resolved off the event path: getaddrinfo(3) blocks, for many seconds when a name server is silent."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from socksify import _real
from socksify.protocol.address import IPV4, NAME, Address, encode_name
from socksify.server.threads import Threads

# Family and address, as connect(2) wants them.
Candidate = tuple[int, Any]
Answer = Callable[[list[Candidate]], object]


class Resolver:
    """Looks names up in threads."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads

    def resolve(self, target: Address, answer: Answer) -> None:
        """Has `answer` called with where to connect to, in order of preference; nowhere if the name is unknown."""
        target = target.literal()
        if target.type == NAME:
            self._threads.run(lambda: look_up(target), answer)
        else:
            answer([literal(target)])


def literal(target: Address) -> Candidate:
    """Where to connect to for an address that is none by name."""
    return socket.AF_INET if target.type == IPV4 else socket.AF_INET6, (target.host, target.port)


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
