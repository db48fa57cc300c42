"""TCP Fast Open: sendto() or sendmsg() with MSG_FASTOPEN connects and sends at once; an option makes connect() wait."""

import socket
import sys

TCP_FASTOPEN_CONNECT = 30

way, host, port = sys.argv[1:]
address = host, int(port)
with socket.socket() as stream:
    if way == "sendto":
        stream.sendto(b"hello\n", socket.MSG_FASTOPEN, address)
    elif way == "sendmsg":
        stream.sendmsg([b"hel", b"lo\n"], [], socket.MSG_FASTOPEN, address)
    else:
        stream.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
        stream.connect(address)
        stream.sendall(b"hello\n")
    print(stream.recv(100).decode().strip())
