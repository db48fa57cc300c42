"""trio: an echo; trio races the addresses that its own getaddrinfo finds."""

import sys

import trio


async def main(host, port):
    async with await trio.open_tcp_stream(host, port) as stream:
        await stream.send_all(b"hello\n")
        print((await stream.receive_some(100)).decode().strip())


trio.run(main, sys.argv[1], int(sys.argv[2]))
