"""An echo over UDP, sent in the way that is named first."""

import os
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


def connect_file(address):
    sender.connect(address)
    with sender.makefile("wb", buffering=0) as file:
        file.write(b"hello")


def connect_write(address):
    sender.connect(address)
    os.write(sender.fileno(), b"hello")


def connect_dup(address):
    sender.connect(address)
    with sender.dup() as other:
        other.send(b"hello")


def connect_fileno(address):
    sender.connect(address)
    with socket.socket(fileno=os.dup(sender.fileno())) as other:
        other.send(b"hello")


way, family, host, port = sys.argv[1:]
try:
    with socket.socket(getattr(socket, family), socket.SOCK_DGRAM) as sender:
        sender.settimeout(2)
        globals()[way]((host, int(port)))
        print(sender.recv(100).decode())
except OSError as error:
    print("refused:", type(error).__name__)
