"""trio: an echo over UDP."""

import sys

import trio


async def main(host, port):
    with trio.socket.socket(type=trio.socket.SOCK_DGRAM) as sender, trio.fail_after(5):
        await sender.sendto(b"hello", (host, port))
        print((await sender.recv(100)).decode())


try:
    trio.run(main, sys.argv[1], int(sys.argv[2]))
except (OSError, trio.TooSlowError) as error:
    print("refused:", type(error).__name__)
