"""Ten threads, each with a connection of its own."""

import socket
import sys
from concurrent.futures import ThreadPoolExecutor

ADDRESS = sys.argv[1], int(sys.argv[2])


def echo(number):
    with socket.create_connection(ADDRESS, timeout=30) as stream:
        stream.sendall(b"%d\n" % number)
        return int(stream.makefile().readline())


with ThreadPoolExecutor(10) as pool:
    print(sum(pool.map(echo, range(10))))
