"""asyncio streams: an echo."""

import asyncio
import sys


async def main(host, port):
    reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port), 30)
    writer.write(b"hello\n")
    print((await reader.readline()).decode().strip())
    writer.close()
    await writer.wait_closed()


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
