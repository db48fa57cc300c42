"""asyncio with happy eyeballs: both families are tried side by side."""

import asyncio
import sys


async def main(host, port):
    reader, writer = await asyncio.open_connection(host, port, happy_eyeballs_delay=0.05, interleave=1)
    writer.write(b"hello\n")
    print((await reader.readline()).decode().strip())
    writer.close()
    await writer.wait_closed()


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
