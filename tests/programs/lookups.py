"""The old look-ups of names, then a connection to what they found."""

import socket
import sys

host, port = sys.argv[1], int(sys.argv[2])
address = socket.gethostbyname(host)
name, _, addresses = socket.gethostbyname_ex(host)
forth, back = socket.gethostbyaddr(host)[0], socket.getnameinfo((address, port), socket.NI_NUMERICSERV)
with socket.create_connection((address, port), timeout=30) as stream:
    stream.sendall(b"hello\n")
    print(name, addresses == [address], forth, back, socket.getfqdn(host), stream.recv(100).decode().strip())
