"""Binds to this machine's own name, as the old examples of servers do."""

import socket

try:
    with socket.socket() as server:
        server.bind((socket.gethostname(), 0))
except OSError:
    pass
try:
    socket.create_connection(("127.0.0.1", 9), source_address=(socket.gethostname(), 0))
except OSError:
    pass
print("done")
