"""A datagram to many: broadcast or multicast, as the address says."""

import socket
import sys

try:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        print(sender.sendto(b"hello", (sys.argv[1], int(sys.argv[2]))))
except OSError as error:
    print("refused:", type(error).__name__)
