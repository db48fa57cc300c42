"""What goes over a connection: ends, aborts, urgent data. Each case is run by a blocking and a non-blocking connect."""

from __future__ import annotations

import fcntl
import select
import signal
import socket
import struct

from tests.support.socket_calls.calls import (
    SECONDS,
    Address,
    connect,
    opened,
    outcome,
    ready,
    receive,
    say,
    so_error,
)

ABORT = struct.pack("ii", 1, 0)
MEBIBYTE = 1 << 20


def half_closed(target: Address) -> None:
    """The peer echoes. After SHUT_WR it still sends what is left, and then its own end."""
    for sock in _connected(target):
        sock.sendall(b"x" * 100_000)
        sock.shutdown(socket.SHUT_WR)
        say(len(receive(sock, MEBIBYTE)), outcome(sock.recv, 1), outcome(sock.send, b"x"))


def closed_by_the_peer(target: Address) -> None:
    """The peer sends `bye` and shuts down, but still reads."""
    for sock in _connected(target):
        say(receive(sock, 3), outcome(sock.recv, 1), outcome(sock.send, b"x"), outcome(sock.send, b"x"))
        say(ready(sock, select.POLLIN | select.POLLOUT | 0x2000))


def aborted_by_the_peer(target: Address) -> None:
    """The peer sends `bye`, and resets the connection when it has read a byte."""
    for sock in _connected(target):
        say(receive(sock, 3))
        sock.send(b"x")
        say(ready(sock, select.POLLIN), outcome(sock.recv, 1), outcome(sock.recv, 1), outcome(sock.send, b"x"))
        say(outcome(sock.getpeername))


def ended(target: Address) -> None:
    """Everything that was sent before close(2) arrives."""
    for sock in _connected(target):
        sock.sendall(b"x" * MEBIBYTE)
        sock.close()


def aborted(target: Address) -> None:
    for sock in _connected(target):
        sock.sendall(b"x")
        say(receive(sock, 1))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        sock.close()


def closed_unread(target: Address) -> None:
    """tcp(7), RFC 2525 section 2.17: close(2) resets the connection if there is unread data."""
    for sock in _connected(target):
        sock.sendall(b"x")
        say(ready(sock, select.POLLIN))
        sock.close()


def urgent_sent(target: Address) -> None:
    """tcp(7), MSG_OOB. The peer answers with the urgent byte, and what was before and after it."""
    for sock in _connected(target):
        sock.send(b"before")
        sock.send(b"!", socket.MSG_OOB)
        sock.send(b"after")
        say(receive(sock, 12))


def urgent_received(target: Address) -> None:
    """The peer sends `before`, an urgent `!`, and when it has read a byte `after`."""
    for sock in _connected(target):
        signals: list[int] = []
        signal.signal(signal.SIGURG, lambda number, _, signals=signals: signals.append(number))  # type: ignore[misc]
        say(ready(sock, select.POLLPRI), len(select.select([], [], [sock], SECONDS)[2]))
        say(
            sock.recv(100), _at_mark(sock), outcome(sock.recv, 1, socket.MSG_OOB), outcome(sock.recv, 1, socket.MSG_OOB)
        )
        sock.send(b"x")
        say(receive(sock, 5))


def urgent_inline(target: Address) -> None:
    """The same with SO_OOBINLINE: the urgent byte is in its place, and a read ends before it."""
    for sock in _connected(target, inline=True):
        say(ready(sock, select.POLLPRI), sock.recv(100), _at_mark(sock), sock.recv(1))
        sock.send(b"x")
        say(receive(sock, 5))


def with_addresses(target: Address) -> None:
    """send(2), recv(2): the address is ignored, and none is reported, on a connected stream socket. The peer echoes."""
    for sock in _connected(target):
        say(outcome(sock.sendto, b"ping", ("203.0.113.9", 9)), outcome(sock.recvfrom, 4))
        say(outcome(sock.sendmsg, [b"ping"], [], 0, ("203.0.113.9", 9)), outcome(sock.recvmsg, 4))


def bulk(target: Address) -> None:
    """The peer echoes. Two mebibytes there and back arrive whole, while both directions are full."""
    data = bytes(range(256)) * (2 * MEBIBYTE // 256)
    for sock in _connected(target):
        sock.setblocking(False)
        sent, received = 0, b""
        while len(received) < len(data):
            readable, writable, _ = select.select([sock], [sock] if sent < len(data) else [], [], SECONDS)
            if writable:
                sent += sock.send(data[sent : sent + 65536])
            if readable:
                received += sock.recv(65536)
        say(received == data)


def _connected(target: Address, *, inline: bool = False) -> list[socket.socket]:
    """A blocking and a non-blocking socket, both connected and then blocking."""
    socks = [opened(target, blocking=True), opened(target)]
    for sock in socks:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, inline)
        say(connect(sock, target) in ("ok", "EINPROGRESS"), "OUT" in ready(sock), so_error(sock))
        sock.setblocking(True)
    return socks


def _at_mark(sock: socket.socket) -> bool:
    """tcp(7), SIOCATMARK."""
    answer = fcntl.ioctl(sock, 0x8905, bytes(4))
    return bool(struct.unpack("i", answer)[0])
