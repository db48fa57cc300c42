"""uvloop, whose sockets are libuv's: a stream to a name and a port."""

import asyncio
import sys

import uvloop


async def main() -> None:
    reader, writer = await asyncio.open_connection(sys.argv[1], int(sys.argv[2]))
    writer.write(b"hello\n")
    print((await reader.readline()).decode().strip())
    writer.close()
    await writer.wait_closed()


uvloop.install()
asyncio.run(main())
