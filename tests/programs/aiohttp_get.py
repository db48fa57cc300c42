"""aiohttp with the resolver named on the command line: `aiodns` asks by itself, `threads` asks getaddrinfo()."""

import asyncio
import sys

import aiohttp

RESOLVERS = {"aiodns": aiohttp.AsyncResolver, "threads": aiohttp.ThreadedResolver}


async def main(resolver, host, port):
    connector = aiohttp.TCPConnector(resolver=RESOLVERS[resolver]())
    async with aiohttp.ClientSession(connector=connector) as session, session.get(f"http://{host}:{port}/") as answer:
        print(answer.status, (await answer.text()).strip())


try:
    asyncio.run(main(*sys.argv[1:]))
except OSError as error:
    print("refused:", type(error).__name__)
