"""A datagram whose IP header is the client's own work."""

import socket
import struct
import sys

source, target = "0.0.0.0", sys.argv[1]
udp = struct.pack("!HHHH", 4000, 9, 13, 0) + b"hello"
ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 0, 1, 0, 64, 17, 0, socket.inet_aton(source), socket.inet_aton(target))
try:
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sender:
        print(sender.sendto(ip + udp, (target, 0)))
except OSError as error:
    print("refused:", type(error).__name__)
