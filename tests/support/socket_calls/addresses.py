"""Addresses of sockets, options, and arguments that are wrong."""

from __future__ import annotations

import ctypes
import os
import select
import socket
import struct

from tests.support.socket_calls.calls import (
    AF_UNSPEC,
    Address,
    connect,
    connect_raw,
    echoes,
    libc,
    named,
    opened,
    outcome,
    ready,
    say,
    so_error,
    sockaddr,
)

OPTIONS = ("TYPE", "DOMAIN", "PROTOCOL", "ACCEPTCONN", "ERROR", "KEEPALIVE", "REUSEADDR", "BROADCAST", "OOBINLINE")


def names(target: Address) -> None:
    """getpeername() and getsockname(), of both families, blocking and not."""
    for blocking in (True, False):
        sock = _connected(target, blocking=blocking)
        say(
            sock.getpeername()[:2] == target, blocking or sock.getsockname()[0], sock.getsockname()[1] > 0, echoes(sock)
        )


def own_name(target: Address) -> None:
    sock = _connected(target, blocking=True)
    say(sock.getsockname()[0])


def names_in_memory(target: Address) -> None:
    """getpeername(2): the address is cut to the room, its full length is told; wrong pointers are EFAULT."""
    sock = _connected(target, blocking=False)
    for room in (0, 1, 7, 8, 16, 28, 128):
        buffer, length = ctypes.create_string_buffer(b"\xff" * 128, 128), ctypes.c_uint32(room)
        result = named(libc.getpeername(sock.fileno(), buffer, ctypes.byref(length)))
        say(
            room,
            result,
            length.value,
            buffer.raw[:28] == (sockaddr(target) + b"\xff" * 28)[: min(room, 16)].ljust(28, b"\xff"),
        )
    say(named(libc.getpeername(sock.fileno(), None, ctypes.byref(ctypes.c_uint32(16)))))
    say(named(libc.getpeername(sock.fileno(), buffer, None)))
    say(named(libc.getpeername(sock.fileno(), buffer, ctypes.byref(ctypes.c_int32(-1)))))


def names_of_others(target: Address) -> None:
    """Sockets that have no proxy: unconnected ones, pairs, listening ones, pipes."""
    one, other = socket.socketpair()
    say(outcome(one.getpeername), outcome(opened(target).getpeername))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        say(outcome(listener.getpeername), listener.getsockname()[1] > 0)
    buffer, length = ctypes.create_string_buffer(128), ctypes.c_uint32(128)
    say(named(libc.getpeername(os.pipe()[0], buffer, ctypes.byref(length))))
    say(
        named(libc.getpeername(-1, buffer, ctypes.byref(length))),
        named(libc.getpeername(999, buffer, ctypes.byref(length))),
    )
    say(other.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))


def options(target: Address) -> None:
    for blocking in (True, False):
        sock = opened(target, blocking=blocking)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 77)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 30_000)
        connect(sock, target)
        say(ready(sock), sock.getblocking(), sock.get_inheritable())
        say(*(f"{name} {sock.getsockopt(socket.SOL_SOCKET, getattr(socket, f'SO_{name}'))}" for name in OPTIONS))
        say(*(sock.getsockopt(socket.IPPROTO_TCP, name) for name in (socket.TCP_KEEPIDLE, socket.TCP_NODELAY)))
        say(
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF),
            sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1),
        )


def so_error_in_memory(target: Address) -> None:
    """getsockopt(2): a shorter length cuts the value; wrong pointers are EFAULT, a negative length EINVAL."""
    sock = _connected(target, blocking=False)
    for room in (0, 1, 2, 4, 8):
        buffer, length = ctypes.create_string_buffer(b"\xff" * 8, 8), ctypes.c_uint32(room)
        say(room, _so_error(sock.fileno(), buffer, ctypes.byref(length)), length.value, buffer.raw)
    say(_so_error(sock.fileno(), None, ctypes.byref(ctypes.c_uint32(4))), _so_error(sock.fileno(), buffer, None))
    say(
        _so_error(sock.fileno(), buffer, ctypes.byref(ctypes.c_int32(-1))), _so_error(999, buffer, ctypes.byref(length))
    )
    say(_so_error(os.pipe()[0], buffer, ctypes.byref(ctypes.c_uint32(4))))


def bound(target: Address) -> None:
    """The source address and port that a program has chosen."""
    for blocking in (True, False):
        sock = opened(target, blocking=blocking)
        sock.bind(("127.0.0.2", 0))
        before = sock.getsockname()
        connect(sock, target)
        say(before[0], ready(sock), so_error(sock), sock.getsockname() == before, echoes(sock))


def bound_to_one_port(target: Address) -> None:
    """Two sockets with SO_REUSEADDR on one port, to one target: the second one fails with EADDRNOTAVAIL."""
    one, two = opened(target, blocking=True), opened(target, blocking=True)
    for sock in (one, two):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind(("127.0.0.1", 0))
    two.bind(one.getsockname())
    say(connect(one, target), connect(two, target))


def disconnected(target: Address) -> None:
    """AF_UNSPEC ends a connection, and the socket can connect again; on an unconnected one it does nothing."""
    for blocking in (True, False):
        sock = opened(target, blocking=blocking)
        say(
            connect_raw(sock.fileno(), AF_UNSPEC),
            connect_raw(sock.fileno(), AF_UNSPEC[:2]),
            connect_raw(sock.fileno(), b"\0", 1),
        )
        connect(sock, target)
        say(ready(sock), connect_raw(sock.fileno(), AF_UNSPEC), outcome(sock.getpeername), outcome(sock.send, b"x"))
        connect(sock, target)
        say(ready(sock), so_error(sock), sock.getpeername() == target, echoes(sock))


def connected_twice(target: Address) -> None:
    sock = _connected(target, blocking=True)
    say(connect(sock, target), connect(sock, ("127.0.0.1", 9)), echoes(sock))


def wrong_arguments(target: Address) -> None:
    data = sockaddr(target)
    sock = opened(target, blocking=True)
    fd = sock.fileno()
    say("length", *(connect_raw(fd, data, length) for length in (0, 1, 2, 8, 15, 129, 4096, 0x7FFFFFFF, 0xFFFFFFFF)))
    say("pointer", connect_raw(fd, None, 16), named(libc.connect(fd, ctypes.c_void_p(8), 16)))
    say("family", connect_raw(fd, struct.pack("=H14x", socket.AF_UNIX)), connect_raw(fd, struct.pack("=H14x", 77)))
    say("IPv6", connect_raw(fd, sockaddr(("::1", target[1]))))
    say("descriptor", connect_raw(-1, data), connect_raw(999, data), connect_raw(os.pipe()[0], data))
    say("O_PATH", connect_raw(os.open("/", os.O_PATH), data), "directory", connect_raw(os.open("/", os.O_RDONLY), data))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        say("listener", connect(listener, target))
    say("still", connect_raw(fd, data + b"more"), echoes(sock))


def wrong_arguments6(target: Address) -> None:
    """IPv4 addresses and short lengths on a socket of IPv6. A length of 24 is that of RFC 2133, without the scope."""
    sock = opened(target, blocking=True)
    fd, data = sock.fileno(), sockaddr(target)
    say(*(connect_raw(fd, data, length) for length in (2, 16, 23)), connect_raw(fd, sockaddr(("127.0.0.1", target[1]))))
    say(connect_raw(fd, data, 24), echoes(sock))


def mapped(target: Address) -> None:
    """A socket of IPv6 to an IPv4 address; with IPV6_V6ONLY this is ENETUNREACH. `target` is IPv4."""
    address = (f"::ffff:{target[0]}", target[1])
    for blocking in (True, False):
        sock = opened(address, blocking=blocking)
        connect(sock, address)
        say(ready(sock), so_error(sock), sock.getpeername()[:2] == address, sock.getsockname()[0], echoes(sock))
        only = opened(address, blocking=blocking)
        only.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        say(connect(only, address))


def ipv6_only(target: Address) -> None:
    """IPV6_V6ONLY stays set. `target` is IPv6."""
    for blocking in (True, False):
        sock = opened(target, blocking=blocking)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        connect(sock, target)
        say(ready(sock), so_error(sock), sock.getpeername()[:2] == target, echoes(sock))
        say(sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))


def other_kinds(target: Address) -> None:
    """Sockets that the proxy has no part in."""
    one, other = socket.socketpair()
    one.send(b"x")
    say(other.recv(1), connect_raw(one.fileno(), sockaddr(target)))
    with socket.socket(socket.AF_UNIX) as unix:
        say(outcome(unix.connect, "/nonexistent/socket"), outcome(unix.connect, "\0nobody is called this"))
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind("")
        listener.listen()
        client.connect(listener.getsockname())
        say(client.getpeername() == listener.getsockname(), so_error(client))
        with listener.accept()[0] as accepted:
            client.send(b"x")
            say(accepted.recv(1))


def own_listener(target: Address) -> None:  # noqa: ARG001
    """A program that connects to itself."""
    for blocking in (True, False):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = listener.getsockname()
            sock = opened(address, blocking=blocking)
            say(connect(sock, address) in ("ok", "EINPROGRESS"), ready(sock), so_error(sock))
            accepted, peer = listener.accept()
            accepted.send(b"x")
            say(sock.recv(1), sock.getpeername() == address)
            say(select.select([listener], [], [], 0)[0], peer[0], accepted.getpeername() == peer)


def _connected(target: Address, *, blocking: bool) -> socket.socket:
    sock = opened(target, blocking=blocking)
    assert connect(sock, target) in ("ok", "EINPROGRESS")
    assert ready(sock) == "OUT"
    assert so_error(sock) == "0"
    return sock


def _so_error(fd: int, buffer: object, length: object) -> str:
    return named(libc.getsockopt(fd, socket.SOL_SOCKET, socket.SO_ERROR, buffer, length))
