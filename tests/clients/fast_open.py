"""TCP Fast Open: sendto() with MSG_FASTOPEN connects and sends at once."""

import socket
import sys

with socket.socket() as stream:
    stream.sendto(b"hello\n", socket.MSG_FASTOPEN, (sys.argv[1], int(sys.argv[2])))
    print(stream.recv(100).decode().strip())
