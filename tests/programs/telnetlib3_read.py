"""telnetlib3: reads the greeting."""

import asyncio
import sys

import telnetlib3


async def main(host, port):
    reader, writer = await telnetlib3.open_connection(host, port, connect_minwait=0.01, connect_maxwait=0.05)
    print((await reader.readline()).strip())
    writer.close()


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
