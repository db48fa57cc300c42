"""A forked child connects, and so does its parent."""

import os
import socket
import sys


def echo():
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=30) as stream:
        stream.sendall(b"hello\n")
        return stream.recv(100).decode().strip()


if child := os.fork():
    _, status = os.waitpid(child, 0)
    print(echo(), os.waitstatus_to_exitcode(status))
else:
    os._exit(echo() != "hello")
