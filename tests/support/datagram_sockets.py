"""Ways to send a datagram, and a receiver on loopback, which would get whatever goes past."""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Callable
from typing import Any

import pytest

import socksify

URL = "socks5h://192.0.2.1:1080"


NAME = "name.example"


HOSTS = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


FAMILIES = pytest.mark.parametrize("family", HOSTS, ids=lambda family: family.name)


SHAPES: dict[str, Callable[[socket.socket, Any], int]] = {
    "sendto": lambda sock, address: sock.sendto(b"x", address),
    "sendto with flags": lambda sock, address: sock.sendto(b"x", 0, address),
    "sendto of the class": lambda sock, address: socket.socket.sendto(sock, memoryview(b"x"), address),
    "sendmsg": lambda sock, address: sock.sendmsg([b"x"], [], 0, address),
    "sendmsg of an iterator": lambda sock, address: sock.sendmsg(iter([b"x"]), (), 0, address),
}


EVERY_SHAPE = pytest.mark.parametrize("shape", SHAPES)


Resolver = Callable[[str | None], None]


class Receiver:
    """A datagram socket that sees what arrives."""

    def __init__(self, family: int) -> None:
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((HOSTS[socket.AddressFamily(family)], 0))
        self.socket.setblocking(False)
        self.host, self.port = self.socket.getsockname()[:2]

    def received(self) -> list[bytes]:
        found = []
        while select.select([self.socket], [], [], 0)[0]:
            found.append(self.socket.recv(100))
        return found


def udp(family: int = socket.AF_INET) -> socket.socket:
    return socket.socket(family, socket.SOCK_DGRAM)


def refused(call: Callable[[], object]) -> str:
    """What the refusal says."""
    with pytest.raises(PermissionError) as caught:
        call()
    assert isinstance(caught.value, socksify.ProxyPermissionError)
    assert caught.value.errno == errno.EACCES
    return str(caught.value)
