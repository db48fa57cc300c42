"""httpx on asyncio, by HTTP/2: twenty requests at once on one TLS connection."""

import asyncio
import ssl
import sys

import httpx


async def main(host, port, authority):
    context = ssl.create_default_context(cafile=authority)
    async with httpx.AsyncClient(http2=True, verify=context, base_url=f"https://{host}:{port}") as client:
        print((await client.get("/")).http_version)
        answers = await asyncio.gather(*(client.get(f"/{number}") for number in range(20)))
        print([answer.text for answer in answers])


asyncio.run(main(*sys.argv[1:]))
