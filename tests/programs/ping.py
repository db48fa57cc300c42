"""One ICMP echo, from the kind of socket that is named first, SOCK_RAW or SOCK_DGRAM, by sendto() or connect()."""

import socket
import sys

kind, way, host = sys.argv[1:]
family, protocol, echo = (
    (socket.AF_INET6, socket.IPPROTO_ICMPV6, bytes([128, 0, 0, 0, 0, 0, 0, 0]))
    if ":" in host
    else (socket.AF_INET, socket.IPPROTO_ICMP, bytes([8, 0, 0xF7, 0xFF, 0, 0, 0, 0]))
)
try:
    with socket.socket(family, getattr(socket, kind), protocol) as sender:
        sender.settimeout(5)
        if way == "sendto":
            sender.sendto(echo, (host, 0))
        else:
            sender.connect((host, 0))
            sender.send(echo)
        print("answered", len(sender.recv(100)) > 0)
except OSError as error:
    print("refused:", type(error).__name__)
