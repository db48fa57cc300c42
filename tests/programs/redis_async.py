"""redis.asyncio: a value set and got."""

import asyncio
import sys

import redis.asyncio


async def main(host, port):
    async with redis.asyncio.Redis(host=host, port=port, socket_timeout=30) as client:
        print(await client.set("key", "value"), await client.get("key"))


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
