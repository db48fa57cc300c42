"""A datagram of UDP-Lite."""

import socket
import sys

try:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 136) as sender:
        print(sender.sendto(b"hello", (sys.argv[1], int(sys.argv[2]))))
except OSError as error:
    print("refused:", type(error).__name__)
