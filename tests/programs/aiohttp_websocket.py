"""aiohttp: two WebSockets of one session, which remembers names and races addresses; one message there and back on each."""

import asyncio
import sys

import aiohttp


async def main(host, port):
    connector = aiohttp.TCPConnector(ttl_dns_cache=60, happy_eyeballs_delay=0.25)
    async with aiohttp.ClientSession(connector=connector) as session:
        for word in ("hello", "again"):
            async with session.ws_connect(f"http://{host}:{port}/", heartbeat=10) as socket:
                await socket.send_str(word)
                print(await socket.receive_str())


asyncio.run(main(*sys.argv[1:]))
