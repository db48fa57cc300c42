"""Connects by every function of twisted, inside a block of via() and outside. Prints who answered, as JSON."""

import json
import sys
from typing import Any

from twisted.internet import defer, endpoints, protocol, reactor, threads

import socksify

inside = sys.argv[1]


class Asking(protocol.Protocol):  # type: ignore[misc]  # twisted's types are not read (pyproject.toml)
    def __init__(self) -> None:
        self.answer = defer.Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.answer.callback(data.decode())
        self.transport.loseConnection()


class Factory(protocol.ClientFactory):  # type: ignore[misc]  # the same
    def __init__(self) -> None:
        self.asking = Asking()

    def buildProtocol(self, _: object) -> Asking:
        return self.asking


async def by_endpoint(text: str) -> Any:
    asking = await endpoints.connectProtocol(endpoints.clientFromString(reactor, text), Asking())
    return await asking.answer


async def by_connect_tcp(host: str) -> Any:
    factory = Factory()
    reactor.connectTCP(host, 80, factory)
    return await factory.asking.answer


def look_up_in_thread() -> str:
    import socket

    with socket.create_connection(("name.example", 80), timeout=10) as sock:
        return sock.recv(1).decode()


async def everything() -> list[Any]:
    return [
        await by_endpoint("tcp:name.example:80"),
        await by_endpoint("tcp:203.0.113.9:80"),
        await by_connect_tcp("name.example"),
        await by_connect_tcp("203.0.113.9"),
        await threads.deferToThread(look_up_in_thread),
    ]


async def main() -> None:
    outside = defer.ensureDeferred(everything())
    with socksify.via(inside):
        found = await everything()
    json.dump([found, await outside, await everything()], sys.stdout)


defer.ensureDeferred(main()).addErrback(lambda failure: failure.printTraceback()).addBoth(lambda _: reactor.stop())
reactor.run()
