"""websockets on asyncio: one message there and back."""

import asyncio
import sys

import websockets


async def main(host, port):
    async with websockets.connect(f"ws://{host}:{port}/") as connection:
        await connection.send("hello")
        print(await connection.recv())


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
