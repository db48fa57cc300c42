"""Connects by everything that twisted has, inside a block of via() and outside; prints who answered, as JSON."""

import json
import sys

from twisted.internet import defer, endpoints, protocol, reactor, threads

import socksify

inside = sys.argv[1]


class Asking(protocol.Protocol):
    def __init__(self):
        self.answer = defer.Deferred()

    def dataReceived(self, data):
        self.answer.callback(data.decode())
        self.transport.loseConnection()


class Factory(protocol.ClientFactory):
    def __init__(self):
        self.asking = Asking()

    def buildProtocol(self, _):
        return self.asking


async def by_endpoint(text):
    asking = await endpoints.connectProtocol(endpoints.clientFromString(reactor, text), Asking())
    return await asking.answer


async def by_connect_tcp(host):
    factory = Factory()
    reactor.connectTCP(host, 80, factory)
    return await factory.asking.answer


def look_up_in_thread():
    import socket

    with socket.create_connection(("name.example", 80), timeout=10) as sock:
        return sock.recv(1).decode()


async def everything():
    return [
        await by_endpoint("tcp:name.example:80"),
        await by_endpoint("tcp:203.0.113.9:80"),
        await by_connect_tcp("name.example"),
        await by_connect_tcp("203.0.113.9"),
        await threads.deferToThread(look_up_in_thread),
    ]


async def main():
    outside = defer.ensureDeferred(everything())
    with socksify.via(inside):
        found = await everything()
    json.dump([found, await outside, await everything()], sys.stdout)


defer.ensureDeferred(main()).addErrback(lambda failure: failure.printTraceback()).addBoth(lambda _: reactor.stop())
reactor.run()
