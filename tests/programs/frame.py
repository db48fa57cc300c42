"""An Ethernet frame, of the type for local experiments, on the first interface that is no loopback: send or sendto."""

import socket
import sys

name = next(name for _, name in socket.if_nameindex() if name.startswith("eth"))
try:
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM if sys.argv[1] == "sendto" else socket.SOCK_RAW) as sender:
        if sys.argv[1] == "sendto":
            print(sender.sendto(b"hello".ljust(46, b"\0"), (name, 0x88B5, 0, 0, b"\xff" * 6)))
        else:
            sender.bind((name, 0))
            print(sender.send(b"\xff" * 6 + bytes(6) + b"\x88\xb5" + b"hello".ljust(46, b"\0")))
except OSError as error:
    print("refused:", type(error).__name__)
