"""What a socket says while its connect is pending, and afterwards. The peer answers after go()."""

from __future__ import annotations

import select
import socket
import struct

from tests.support.socket_calls.calls import (
    AF_UNSPEC,
    Address,
    begun,
    connect,
    connect_raw,
    echoes,
    go,
    opened,
    outcome,
    ready,
    say,
    so_error,
)


def connected_again(target: Address) -> None:
    """connect(2): EINPROGRESS, then EALREADY, then success once, then EISCONN."""
    sock = begun(target)
    say(connect(sock, target), connect(sock, target))
    go()
    say(ready(sock))
    say(connect(sock, target), connect(sock, target), so_error(sock), echoes(sock))


def asked_for_its_error(target: Address) -> None:
    sock = begun(target)
    say(so_error(sock), so_error(sock))
    go()
    say(ready(sock), so_error(sock), so_error(sock), connect(sock, target), echoes(sock))


def not_ready_before(target: Address) -> None:
    sock = begun(target)
    say(ready(sock, select.POLLIN | select.POLLOUT, 0.05))
    say(select.select([sock], [sock], [sock], 0.05))
    go()
    say(ready(sock, select.POLLIN | select.POLLOUT))
    say([len(found) for found in select.select([sock], [sock], [sock], 5)])


def used_too_early(target: Address) -> None:
    sock = begun(target)
    say(outcome(sock.send, b"x"), outcome(sock.recv, 1), outcome(sock.getpeername))
    say(outcome(sock.listen), outcome(sock.bind, ("127.0.0.1", 0)))
    host, port = sock.getsockname()[:2]
    say(host, port > 0)
    go()
    say(ready(sock), sock.getpeername() == target, sock.getsockname() == (host, port), echoes(sock))


def shut_down(target: Address) -> None:
    sock = begun(target)
    say(outcome(sock.shutdown, socket.SHUT_RDWR))
    say(ready(sock, select.POLLOUT | select.POLLIN, 1), so_error(sock))


def closed(target: Address) -> None:
    for _ in range(50):
        begun(target).close()


def disconnected(target: Address) -> None:
    """connect(2): a sockaddr of AF_UNSPEC dissolves the association."""
    sock = begun(target)
    say(connect_raw(sock.fileno(), AF_UNSPEC), so_error(sock), outcome(sock.getpeername))
    say(connect(sock, target))
    go()
    say(ready(sock), connect(sock, target), echoes(sock))


def made_blocking(target: Address) -> None:
    """A blocking connect(2) waits for the one that is under way."""
    sock = begun(target)
    sock.setblocking(True)
    go()
    say(connect(sock, target), connect(sock, target), echoes(sock))


def timed_out(target: Address) -> None:
    """socket(7): a connect(2) that SO_SNDTIMEO ends has the error EINPROGRESS, and goes on."""
    sock = _impatient(target)
    say(connect(sock, target), connect(sock, target))
    go()
    while (result := connect(sock, target)) == "EALREADY":
        pass
    say(result, connect(sock, target), sock.getpeername() == target, echoes(sock))


def timed_out_and_polled(target: Address) -> None:
    sock = _impatient(target)
    say(connect(sock, target), ready(sock, seconds=0.05))


def another_address(target: Address) -> None:
    """Only the first address counts."""
    sock = begun(target)
    say(connect(sock, ("127.0.0.1", 9)))
    go()
    say(ready(sock), connect(sock, ("127.0.0.1", 9)), sock.getpeername() == target, echoes(sock))


def asked_for_options(target: Address) -> None:
    """What was set before the connect, and during it, is kept."""
    sock = opened(target)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20_000)
    say(connect(sock, target))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    go()
    say(ready(sock), so_error(sock))
    for name in ("SO_KEEPALIVE", "SO_RCVBUF", "SO_TYPE", "SO_DOMAIN", "SO_PROTOCOL", "SO_ACCEPTCONN", "SO_REUSEPORT"):
        say(name, sock.getsockopt(socket.SOL_SOCKET, getattr(socket, name)))
    say(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), sock.get_inheritable(), sock.getblocking())


def hundreds(target: Address) -> None:
    """500 at once: each connects, each has its own bytes back."""
    socks = {}
    for number in range(500):
        sock = opened(target)
        assert connect(sock, target) == "EINPROGRESS"
        socks[sock.fileno()] = sock, number.to_bytes(4)
    poller = select.epoll()
    for fd in socks:
        poller.register(fd, select.EPOLLOUT)
    go()
    waiting = set(socks)
    while waiting:
        for fd, _ in poller.poll(20) or exit("no answer"):
            poller.unregister(fd)
            waiting.discard(fd)
    say({so_error(sock) for sock, _ in socks.values()}, all(echoes(sock, data) for sock, data in socks.values()))


def _impatient(target: Address) -> socket.socket:
    sock = opened(target, blocking=True)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 100_000))
    return sock
