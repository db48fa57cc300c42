"""An Ethernet frame, of the type for local experiments, on the first interface that is no loopback."""

import socket

name = next(name for _, name in socket.if_nameindex() if name.startswith("eth"))
try:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind((name, 0))
        print(sender.send(b"\xff" * 6 + bytes(6) + b"\x88\xb5" + b"hello".ljust(46, b"\0")))
except OSError as error:
    print("refused:", type(error).__name__)
