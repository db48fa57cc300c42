"""A non-blocking connect that is waited for with select(): to a name or to an address."""

import select
import socket
import sys

with socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as stream:
    stream.connect_ex((sys.argv[1], int(sys.argv[2])))
    select.select([], [stream], [], 30)
    print(stream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), stream.send(b"hello\n"))
    select.select([stream], [], [], 30)
    print(stream.recv(100).decode().strip())
