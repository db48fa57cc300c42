"""asyncio's sock_sendto(): an echo over UDP."""

import asyncio
import socket
import sys


async def main(host, port):
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        await loop.sock_sendto(sender, b"hello", (host, port))
        print((await asyncio.wait_for(loop.sock_recv(sender, 100), 5)).decode())


try:
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
except OSError as error:
    print("refused:", type(error).__name__)
