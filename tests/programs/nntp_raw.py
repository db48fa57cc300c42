"""NNTP in lines over a socket, as RFC 3977 shows it: chooses a group and reads an article."""

import socket
import sys


def command(line):
    stream.write(line.encode() + b"\r\n")
    stream.flush()
    return stream.readline().decode().strip()


def text():
    lines = []
    while (line := stream.readline().decode().rstrip("\r\n")) != ".":
        lines.append(line)
    return lines


with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=30) as connection:
    stream = connection.makefile("rwb")
    print(stream.readline().decode().strip())
    print(command("GROUP misc.test"))
    print(command("ARTICLE 1"), text())
    print(command("QUIT"))
