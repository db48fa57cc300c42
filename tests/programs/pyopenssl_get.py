"""pyOpenSSL over a socket that does not block: a request, each step tried until it is done."""

import select
import socket
import sys

from OpenSSL import SSL

host, port, authority = sys.argv[1:]
context = SSL.Context(SSL.TLS_CLIENT_METHOD)
context.load_verify_locations(authority)
context.set_verify(SSL.VERIFY_PEER)


def done(call, *args):
    while True:
        try:
            return call(*args)
        except SSL.WantReadError:
            select.select([connection], [], [], 30)
        except SSL.WantWriteError:
            select.select([], [connection], [], 30)


with socket.socket() as plain:
    plain.setblocking(False)
    connection = SSL.Connection(context, plain)
    connection.set_tlsext_host_name(host.encode())
    connection.connect_ex((host, int(port)))
    done(connection.do_handshake)
    done(connection.sendall, f"GET / HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
    answer = b""
    try:
        while True:
            answer += done(connection.recv, 65536)
    except (SSL.ZeroReturnError, SSL.SysCallError):
        print(answer.splitlines()[-1])
