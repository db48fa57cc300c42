"""Connects that end in every way there is."""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable

from tests.support.socket_calls.calls import (
    AF_UNSPEC,
    Address,
    connect,
    connect_raw,
    opened,
    outcome,
    ready,
    receive,
    say,
    so_error,
)

# Nobody listens there.
CLOSED = ("127.0.0.1", 1)
ABORT = struct.pack("ii", 1, 0)


def churn(target: Address) -> None:
    """For each line of standard input, a way or `every` and a count, make so many connects."""
    for line in sys.stdin:
        way, count = line.rsplit(maxsplit=1)
        endings = [ENDINGS[way]] if way in ENDINGS else list(ENDINGS.values())
        for number in range(int(count)):
            endings[number // 2 % len(endings)](target, number % 2 == 0)
        say("done")


def _closed(target: Address, blocking: bool) -> None:
    _connected(target, blocking).close()


def _aborted(target: Address, blocking: bool) -> None:
    sock = _connected(target, blocking)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
    sock.close()


def _read_to_the_end(target: Address, blocking: bool) -> None:
    sock = _connected(target, blocking)
    sock.setblocking(True)
    sock.sendall(b"ping")
    assert receive(sock, 4) == b"ping"
    sock.shutdown(socket.SHUT_WR)
    assert receive(sock, 1) == b""
    sock.close()


def _disconnected(target: Address, blocking: bool) -> None:
    sock = _connected(target, blocking)
    connect_raw(sock.fileno(), AF_UNSPEC)
    sock.close()


def _duplicated(target: Address, blocking: bool) -> None:
    sock = _connected(target, blocking)
    other = sock.dup()
    sock.close()
    assert other.getpeername() == target
    other.close()


def _inherited(target: Address, blocking: bool) -> None:
    sock = _connected(target, blocking)
    child = os.fork()
    if child == 0:
        sock.close()
        os._exit(0)
    sock.close()
    os.waitpid(child, 0)


def _killed(target: Address, blocking: bool) -> None:
    """A child ends while its connects are pending, or are just over."""
    child = os.fork()
    if child == 0:
        opened(target).connect_ex(target)
        connect(opened(target, blocking=blocking), target)
        select.select([], [], [])
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def _refused(_: Address, blocking: bool) -> None:
    sock = opened(CLOSED, blocking=blocking)
    result = connect(sock, CLOSED)
    if result == "EINPROGRESS":
        ready(sock)
        result = so_error(sock)
    assert result == "ECONNREFUSED"
    sock.close()


def _refused_unasked(_: Address, __: bool) -> None:
    """Nobody asks for the error."""
    sock = opened(CLOSED)
    connect(sock, CLOSED)
    ready(sock)
    sock.close()


def _closed_while_pending(target: Address, _: bool) -> None:
    for address in (target, CLOSED):
        sock = opened(address)
        assert connect(sock, address) == "EINPROGRESS"
        sock.close()


def _interrupted(target: Address, _: bool) -> None:
    """A signal ends the blocking call, and the socket is closed."""
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.siginterrupt(signal.SIGALRM, True)
    sock = opened(target, blocking=True)
    signal.setitimer(signal.ITIMER_REAL, 0.0002)
    connect(sock, target)
    signal.setitimer(signal.ITIMER_REAL, 0)
    sock.close()


def _connected(target: Address, blocking: bool) -> socket.socket:
    sock = opened(target, blocking=blocking)
    result = connect(sock, target)
    assert result == ("ok" if blocking else "EINPROGRESS"), result
    assert ready(sock) == "OUT"
    assert so_error(sock) == "0"
    return sock


ENDINGS: dict[str, Callable[[Address, bool], None]] = {
    "close": _closed,
    "abort": _aborted,
    "read to the end": _read_to_the_end,
    "disconnect": _disconnected,
    "dup": _duplicated,
    "fork": _inherited,
    "kill": _killed,
    "refuse": _refused,
    "refuse and do not ask": _refused_unasked,
    "close while pending": _closed_while_pending,
    "interrupt": _interrupted,
}


def until_one_fails(target: Address) -> None:
    """Connect without a pause, and tell the errno of the first failure."""
    result, blocking = "0", True
    say("begun")
    while result in ("0", "ok"):
        blocking = not blocking
        sock = opened(target, blocking=blocking)
        result = connect(sock, target)
        if result == "EINPROGRESS":
            ready(sock)
            result = str(outcome(so_error, sock))
        sock.close()
    say(result)
