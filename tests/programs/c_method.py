"""Calls a C method of the class under socket.socket, which no patch can replace: connect or sendto."""

import _socket
import socket
import sys

way, host, port = sys.argv[1:]
kind = socket.SOCK_STREAM if way == "connect" else socket.SOCK_DGRAM
try:
    with socket.socket(socket.AF_INET, kind) as sender:
        sender.settimeout(5)
        if way == "connect":
            _socket.socket.connect(sender, (host, int(port)))
            sender.sendall(b"hello\n")
        else:
            _socket.socket.sendto(sender, b"hello\n", (host, int(port)))
        print(sender.recv(100).decode().strip())
except OSError as error:
    print("refused:", type(error).__name__)
