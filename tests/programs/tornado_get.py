"""tornado: five requests at once, each on a connection of its own."""

import asyncio
import sys

from tornado.httpclient import AsyncHTTPClient


async def main(host, port):
    client = AsyncHTTPClient()
    answers = await asyncio.gather(*(client.fetch(f"http://{host}:{port}/") for _ in range(5)))
    print([(answer.code, answer.body) for answer in answers])


asyncio.run(main(*sys.argv[1:]))
