"""Two proxies and a target that say their names: a client knows through which proxy it was connected."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import socketserver
from collections.abc import Iterator
from typing import Any

from tests.support import targets
from tests.support.bad_proxy import BadProxy, Session
from tests.support.routing import routed
from tests.support.steps import HANG, READ_CREDENTIALS, READ_GREETING, READ_REQUEST, Send, Step, socks5_reply

# A rule by which loopback is proxied, too.
ANYWHERE = ("*=proxy",)
SECONDS = 10.0
# No host has this address.
FAR = ("203.0.113.9", 80)


def saying(name: bytes, password: bool = False) -> list[Step]:
    """Return the script of a proxy that plays the target as well, and sends its own name as the target's data."""
    negotiation: list[Step] = [READ_GREETING, Send(b"\x05\x02" if password else b"\x05\x00")]
    negotiation += [READ_CREDENTIALS, Send(b"\x01\x00")] if password else []
    return [*negotiation, READ_REQUEST, Send(socks5_reply(0) + name), HANG]


class Direct(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(b"T")


class World:
    """The proxies `a`, which is installed, and `b`, and a target that is reached directly."""

    def __init__(self, a: BadProxy, b: BadProxy, target: tuple[str, int]) -> None:
        self.a = a
        self.b = b
        self.target = target
        self._before = (0, 0)

    def begin(self) -> None:
        """Forget what was asked for before."""
        self._before = len(self.a.sessions), len(self.b.sessions)

    def answerer(self, address: tuple[str, int] | None = None) -> str:
        """Connect to the target, or to another address. Return who answers: `a`, `b` or, the target itself, `T`."""
        with socket.create_connection(address or self.target, timeout=SECONDS) as sock:
            return sock.recv(1).decode()

    def asked(self) -> tuple[list[tuple[str, int] | None], list[tuple[str, int] | None]]:
        """Return the targets that `a` and `b` were asked for since begin()."""
        a, b = self.a.sessions[self._before[0] :], self.b.sessions[self._before[1] :]
        return [session.target for session in a], [session.target for session in b]


async def async_answerer(proxies: World, address: tuple[str, int] | None = None) -> str:
    """Do what World.answerer() does, on asyncio."""
    reader, writer = await asyncio.open_connection(*(address or proxies.target))
    try:
        return (await reader.readexactly(1)).decode()
    finally:
        writer.close()
        await writer.wait_closed()


def run(coroutine: Any) -> Any:
    """Run a coroutine on a loop of its own, for a limited time."""
    return asyncio.run(asyncio.wait_for(coroutine, 3 * SECONDS))


@contextlib.contextmanager
def world(routes: tuple[str, ...] = ANYWHERE, **settings: object) -> Iterator[World]:
    with (
        BadProxy(saying(b"a")) as a,
        BadProxy(saying(b"b")) as b,
        targets.serve(Direct) as target,
        routed(a.url(), routes=routes, **settings),
    ):
        yield World(a, b, target.address)


def credentials(session: Session) -> tuple[bytes, bytes]:
    """Return the user and password (RFC 1929) that a proxy received on a connection."""
    said = bytes(session.received)
    message = said[2 + said[1] :]
    assert message[0] == 1
    length = message[1]
    user, rest = message[2 : 2 + length], message[2 + length :]
    return user, rest[1 : 1 + rest[0]]
