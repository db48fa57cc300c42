"""A stream that is not TCP's: Multipath TCP, where the kernel has it."""

import socket
import sys

with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) as stream:
    stream.settimeout(30)
    stream.connect((sys.argv[1], int(sys.argv[2])))
    stream.sendall(b"hello\n")
    print(stream.recv(100).decode().strip())
