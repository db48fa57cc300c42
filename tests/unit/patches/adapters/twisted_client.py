"""A program with twisted: a page, names by both resolvers, datagrams. twisted's reactor runs once in a process."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet import defer, task
from twisted.internet.protocol import DatagramProtocol
from twisted.names import client
from twisted.web.client import Agent, readBody

NAME_SERVER = "203.0.113.53"
NAME = "routed.example"


async def page(reactor: Any, url: str) -> str:
    body = await readBody(await Agent(reactor, connectTimeout=10).request(b"GET", url.encode()))
    return str(body.decode())


async def resolve(reactor: Any) -> str:
    return str(await reactor.resolve(NAME))


async def names_address(_: Any) -> Any:
    return await client.Resolver(servers=[(NAME_SERVER, 53)]).getHostByName(NAME, timeout=[2])


async def names_mail(_: Any) -> Any:
    return await client.Resolver(servers=[(NAME_SERVER, 53)]).lookupMailExchange(NAME, timeout=[2])


async def datagram(reactor: Any) -> None:
    protocol = DatagramProtocol()
    reactor.listenUDP(0, protocol)
    protocol.transport.write(b"ping", ("203.0.113.5", 9))


async def connected_datagram(reactor: Any) -> None:
    protocol = DatagramProtocol()
    reactor.listenUDP(0, protocol)
    protocol.transport.connect("203.0.113.5", 9)
    protocol.transport.write(b"ping")


async def main(reactor: Any, url: str) -> None:
    told: dict[str, str] = {}
    works: dict[str, Callable[[], Awaitable[Any]]] = {
        "page": lambda: page(reactor, url),
        "page of nobody": lambda: page(reactor, "http://name.invalid/"),
        "resolve": lambda: resolve(reactor),
        "names: address": lambda: names_address(reactor),
        "names: mail": lambda: names_mail(reactor),
        "datagram": lambda: datagram(reactor),
        "connected datagram": lambda: connected_datagram(reactor),
    }
    for name, work in works.items():
        try:
            told[name] = str(await work())
        except Exception as error:
            told[name] = f"{type(error).__name__}: {error}"
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    # Of twisted's own making.
    warnings.simplefilter("ignore", DeprecationWarning)
    task.react(lambda reactor: defer.ensureDeferred(main(reactor, sys.argv[1])))
