"""A stream socket of the family named first (AF_INET, AF_INET6) connects to what it is given: a name or a literal."""

import socket
import sys

family, host, port = sys.argv[1:]
with socket.socket(getattr(socket, family)) as stream:
    stream.settimeout(30)
    stream.connect((host, int(port)))
    stream.sendall(b"hello\n")
    print(stream.recv(100).decode().strip())
