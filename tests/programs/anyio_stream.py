"""anyio: an echo, on the backend that is named first."""

import sys

import anyio


async def main(host, port):
    async with await anyio.connect_tcp(host, port) as stream:
        await stream.send(b"hello\n")
        print((await stream.receive(100)).decode().strip())


anyio.run(main, sys.argv[2], int(sys.argv[3]), backend=sys.argv[1])
