"""A datagram to many: broadcast or multicast, as the address says."""

import socket
import sys

host, port = sys.argv[1:]
family = socket.AF_INET6 if ":" in host else socket.AF_INET
try:
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        print(sender.sendto(b"hello", (host, int(port))))
except OSError as error:
    print("refused:", type(error).__name__)
