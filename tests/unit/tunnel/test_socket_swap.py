"""A fresh kernel socket on the client's fd has what the old one had, as far as its family can have it."""

from __future__ import annotations

import os
import socket
import struct

import pytest

from socksify.tunnel import socket_swap

OPTIONS = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1),
    (socket.SOL_SOCKET, socket.SO_OOBINLINE, 1),
    (socket.SOL_SOCKET, socket.SO_PRIORITY, 3),
    (socket.SOL_SOCKET, socket.SO_RCVBUF, 20_000),
    (socket.SOL_SOCKET, socket.SO_SNDBUF, 30_000),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 77),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 7),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 5000),
    (socket.IPPROTO_IP, socket.IP_TOS, 16),
    (socket.IPPROTO_IP, socket.IP_TTL, 33),
]


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_an_option_is_carried_over(option: tuple[int, int, int]) -> None:
    with socket.socket() as sock:
        sock.setsockopt(*option)
        fresh = socket_swap.fresh_socket(sock, socket.AF_INET)
        assert fresh.getsockopt(*option[:2]) == sock.getsockopt(*option[:2])
        fresh.close()


@pytest.mark.parametrize("name", [socket.SO_LINGER, socket.SO_RCVTIMEO, socket.SO_SNDTIMEO])
def test_a_structure_is_carried_over(name: int) -> None:
    value = struct.pack("ii", 1, 5) if name == socket.SO_LINGER else struct.pack("ll", 5, 0)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, name, value)
        fresh = socket_swap.fresh_socket(sock, socket.AF_INET6)
        assert fresh.getsockopt(socket.SOL_SOCKET, name, 16) == value
        fresh.close()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX])
@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("inheritable", [True, False])
def test_the_fd_keeps_its_number_and_its_flags(family: int, blocking: bool, inheritable: bool) -> None:
    with socket.socket() as sock:
        sock.setblocking(blocking)
        sock.set_inheritable(inheritable)
        fd, before = sock.fileno(), os.fstat(sock.fileno()).st_ino
        fresh = socket_swap.fresh_socket(sock, family)
        other = fresh.fileno()
        socket_swap.move(fresh, sock)
        assert sock.fileno() == fd
        assert os.fstat(fd).st_ino != before
        assert os.get_blocking(fd) is blocking
        assert os.get_inheritable(fd) is inheritable
        with pytest.raises(OSError):
            os.fstat(other)


@pytest.mark.parametrize("blocking", [True, False])
def test_a_default_timeout_of_the_process_is_none_of_the_fresh_sockets(blocking: bool) -> None:
    """connect() on it would wait that long, in the middle of an event loop."""
    socket.setdefaulttimeout(30)
    try:
        with socket.socket() as sock:
            sock.setblocking(blocking)
            fresh = socket_swap.fresh_socket(sock, socket.AF_INET)
            assert fresh.gettimeout() == sock.gettimeout()
            fresh.close()
    finally:
        socket.setdefaulttimeout(None)
