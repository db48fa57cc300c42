"""An SSLSocket that is wrapped first and then connects to a name: arguments host, port, the authority's file."""

import socket
import ssl
import sys

host, port, authority = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
with context.wrap_socket(socket.socket(), server_hostname=host) as stream:
    stream.connect((host, int(port)))
    stream.sendall(b"GET / HTTP/1.0\r\n\r\n")
    print(stream.recv(4096).split(b"\r\n")[0].decode(), dict(stream.getpeercert()["subject"][0])["commonName"])
