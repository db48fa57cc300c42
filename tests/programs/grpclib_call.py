"""grpclib, which is Python alone: ten calls at once on one connection."""

import asyncio
import sys

from grpclib.client import Channel, UnaryUnaryMethod


class Bytes:
    __content_subtype__ = "proto"

    def encode(self, message, message_type):
        return message

    def decode(self, data, message_type):
        return data


async def main(host, port):
    async with Channel(host, int(port), codec=Bytes()) as channel:
        echo = UnaryUnaryMethod(channel, "/echo/Echo", bytes, bytes)
        print(await asyncio.gather(*(echo(b"%d" % number, timeout=10) for number in range(10))))


asyncio.run(main(*sys.argv[1:]))
