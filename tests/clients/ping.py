"""One ICMP echo, from the kind of socket that is named first: SOCK_RAW or SOCK_DGRAM."""

import socket
import sys

ECHO = bytes([8, 0, 0xF7, 0xFF, 0, 0, 0, 0])

kind, host = sys.argv[1:]
try:
    with socket.socket(socket.AF_INET, getattr(socket, kind), socket.IPPROTO_ICMP) as sender:
        sender.settimeout(5)
        sender.sendto(ECHO, (host, 0))
        print("answered", len(sender.recv(100)) > 0)
except OSError as error:
    print("refused:", type(error).__name__)
