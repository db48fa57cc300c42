"""httpx, asynchronous: three requests at once."""

import asyncio
import sys

import httpx


async def main(url):
    async with httpx.AsyncClient(timeout=30) as client:
        answers = await asyncio.gather(*(client.get(url) for _ in range(3)))
    print([answer.text.strip() for answer in answers])


asyncio.run(main(f"http://{sys.argv[1]}:{sys.argv[2]}/"))
