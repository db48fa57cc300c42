"""Has taken its names from socket before anything else runs."""

import sys
from _socket import getaddrinfo as underneath
from socket import AF_INET, SOCK_STREAM, create_connection, getaddrinfo, gethostbyname, socket


def main(host, port):
    address = getaddrinfo(host, port, AF_INET, SOCK_STREAM)[0][4]
    alike = address == underneath(host, port, AF_INET, SOCK_STREAM)[0][4] == (gethostbyname(host), port)
    with create_connection((host, port), timeout=30) as first, socket() as second:
        second.connect(address)
        first.sendall(b"one\n")
        second.sendall(b"two\n")
        print(alike, first.recv(100).decode().strip(), second.recv(100).decode().strip())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
