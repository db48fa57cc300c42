"""Look-ups in an executor and by the loop, then a connection by sock_connect()."""

import asyncio
import socket
import sys


async def main(host, port):
    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(None, socket.getaddrinfo, host, port, socket.AF_INET, socket.SOCK_STREAM)
    again = await loop.getaddrinfo(host, port, family=socket.AF_INET, type=socket.SOCK_STREAM)
    name, _ = await loop.getnameinfo(found[0][4], socket.NI_NUMERICSERV)
    with socket.socket() as stream:
        stream.setblocking(False)
        await loop.sock_connect(stream, found[0][4])
        await loop.sock_sendall(stream, b"hello\n")
        print(found == again, name, (await loop.sock_recv(stream, 100)).decode().strip())


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
