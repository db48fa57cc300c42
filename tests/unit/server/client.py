"""A SOCKS client written by hand, from the RFC and the SOCKS4 memos. It uses no code of the package."""

from __future__ import annotations

import socket

from tests.support.streams import receive

CONNECT, BIND, UDP_ASSOCIATE = 1, 2, 3
GREETING = b"\x05\x01\x00"
# Each protocol version with each form of an address of this machine.
VERSIONS = [(4, "127.0.0.1"), (4, "localhost"), (5, "127.0.0.1"), (5, "localhost"), (5, "::1")]


def address5(host: str, port: int) -> bytes:
    """Returns ATYP, ADDR and PORT."""
    if ":" in host:
        return b"\x04" + socket.inet_pton(socket.AF_INET6, host) + port.to_bytes(2)
    if host[0].isdigit():
        return b"\x01" + socket.inet_aton(host) + port.to_bytes(2)
    return b"\x03" + bytes([len(host)]) + host.encode() + port.to_bytes(2)


def request5(host: str, port: int, command: int = CONNECT) -> bytes:
    return b"\x05" + bytes([command]) + b"\x00" + address5(host, port)


def credentials(user: bytes, password: bytes) -> bytes:
    return b"\x01" + bytes([len(user)]) + user + bytes([len(password)]) + password


def request4(host: str, port: int, command: int = CONNECT) -> bytes:
    """Returns a request of SOCKS4 for an IPv4 address, of SOCKS4A for a name."""
    named = not host[0].isdigit()
    address = b"\0\0\0\x01" if named else socket.inet_aton(host)
    return b"\x04" + bytes([command]) + port.to_bytes(2) + address + b"me\0" + (host.encode() + b"\0" if named else b"")


def reply5(stream: socket.socket) -> tuple[int, bytes]:
    """Returns the code, and ATYP, BND.ADDR and BND.PORT."""
    head = receive(stream, 4)
    assert head[:1] + head[2:3] == b"\x05\x00", head
    return head[1], head[3:] + receive(stream, {1: 6, 4: 18}[head[3]])


def reply4(stream: socket.socket) -> int:
    reply = receive(stream, 8)
    assert reply[0] == 0, reply
    return reply[1]


def ask(stream: socket.socket, version: int, host: str, port: int, command: int = CONNECT) -> int:
    """Sends a request without credentials, one message at a time. Returns the reply's code, 0 for SOCKS4's 90."""
    if version == 4:
        stream.sendall(request4(host, port, command))
        code = reply4(stream)
        return 0 if code == 90 else code
    stream.sendall(GREETING)
    assert receive(stream, 2) == b"\x05\x00"
    stream.sendall(request5(host, port, command))
    return reply5(stream)[0]


def reply(stream: socket.socket, version: int) -> tuple[int, tuple[str, int]]:
    """Returns the code of the next reply (0 for SOCKS4's 90), its host and its port."""
    if version == 4:
        head = receive(stream, 8)
        assert head[0] == 0
        address = socket.inet_ntoa(head[4:]), int.from_bytes(head[2:4])
        return 0 if head[1] == 90 else head[1], address
    code, bound = reply5(stream)
    family = {1: socket.AF_INET, 4: socket.AF_INET6}[bound[0]]
    return code, (socket.inet_ntop(family, bound[1:-2]), int.from_bytes(bound[-2:]))


def bind(stream: socket.socket, version: int, host: str, port: int = 0) -> tuple[int, tuple[str, int]]:
    """Sends a BIND, and returns the first reply."""
    if version == 4:
        stream.sendall(request4(host, port, BIND))
    else:
        stream.sendall(GREETING + request5(host, port, BIND))
        assert receive(stream, 2) == b"\x05\x00"
    return reply(stream, version)


def bind_reserved(stream: socket.socket) -> None:
    """Binds a socket to a reserved port, as rcmd(3) does."""
    for port in range(700, 1024):
        try:
            stream.bind(("127.0.0.1", port))
        except OSError:
            continue
        return
    raise AssertionError("no reserved port is free")
