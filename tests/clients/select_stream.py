"""A non-blocking connect that is waited for with select()."""

import select
import socket
import sys

with socket.socket() as stream:
    stream.setblocking(False)
    stream.connect_ex((sys.argv[1], int(sys.argv[2])))
    select.select([], [stream], [], 30)
    print(stream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), stream.send(b"hello\n"))
    select.select([stream], [], [], 30)
    print(stream.recv(100).decode().strip())
