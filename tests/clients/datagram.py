"""An echo over UDP, sent in the way that is named first."""

import socket
import sys


def sendto(address):
    sender.sendto(b"hello", address)


def sendto_with_flags(address):
    sender.sendto(b"hello", socket.MSG_DONTWAIT, address)


def sendmsg(address):
    sender.sendmsg([b"hel", b"lo"], [], 0, address)


def connect(address):
    sender.connect(address)
    sender.send(b"hello")


def connect_sendmsg(address):
    sender.connect(address)
    sender.sendmsg([b"hello"])


def connect_write(address):
    sender.connect(address)
    with sender.makefile("wb", buffering=0) as file:
        file.write(b"hello")


way, family, host, port = sys.argv[1:]
try:
    with socket.socket(getattr(socket, family), socket.SOCK_DGRAM) as sender:
        sender.settimeout(5)
        globals()[way]((host, int(port)))
        print(sender.recv(100).decode())
except OSError as error:
    print("refused:", type(error).__name__)
