"""Connects that fail: the error, once, from whatever call asks first; and the attempt after it."""

from __future__ import annotations

import select
import socket

from tests.support.socket_calls.calls import (
    AF_UNSPEC,
    Address,
    begun,
    connect,
    connect_raw,
    go,
    opened,
    outcome,
    ready,
    say,
    so_error,
)

CLOSED = select.POLLERR | select.POLLHUP


def by_connect(target: Address) -> None:
    sock = opened(target, blocking=True)
    say(connect(sock, target), so_error(sock), outcome(sock.getpeername), outcome(sock.send, b"x"))


def by_connect_again(target: Address) -> None:
    sock = opened(target, blocking=True)
    say(*(connect(sock, target) for _ in range(3)), so_error(sock))


def by_so_error(target: Address) -> None:
    sock = begun(target)
    go()
    say(_wakes(sock), so_error(sock), so_error(sock), outcome(sock.getpeername))


def by_second_connect(target: Address) -> None:
    sock = begun(target)
    go()
    say(_wakes(sock), connect(sock, target), so_error(sock))


def by_recv(target: Address) -> None:
    sock = begun(target)
    go()
    say(_wakes(sock), outcome(sock.recv, 1), so_error(sock))


def by_send(target: Address) -> None:
    sock = begun(target)
    go()
    say(_wakes(sock), outcome(sock.send, b"x"), so_error(sock))


def then_connected_again(target: Address) -> None:
    """After SO_ERROR has told, a second attempt on the same socket; and a third."""
    sock = begun(target)
    go()
    say(_wakes(sock), so_error(sock))
    say(connect(sock, target))
    say(connect(sock, target), _wakes(sock), so_error(sock))


def then_disconnected(target: Address) -> None:
    sock = begun(target)
    go()
    say(_wakes(sock), connect_raw(sock.fileno(), AF_UNSPEC), connect(sock, target), _wakes(sock), so_error(sock))


def the_events(target: Address) -> None:
    """Every event that poll(2) and select(2) report."""
    sock = begun(target)
    go()
    _wakes(sock)
    say(ready(sock, select.POLLIN | select.POLLOUT | select.POLLPRI | 0x2000))


def the_sets(target: Address) -> None:
    """What select(2) reports."""
    sock = begun(target)
    go()
    _wakes(sock)
    say([len(found) for found in select.select([sock], [sock], [sock], 5)])


def after_a_bind(target: Address) -> None:
    """The address that was bound stays bound."""
    sock = opened(target, blocking=True)
    sock.bind(("127.0.0.1", 0))
    bound = sock.getsockname()
    say(connect(sock, target), sock.getsockname() == bound, connect(sock, target))


def in_time(target: Address) -> None:
    """tcp(7): TCP_SYNCNT limits the number of attempts."""
    sock = opened(target, blocking=True)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
    say(connect(sock, target), so_error(sock))


def in_time_meanwhile(target: Address) -> None:
    sock = opened(target)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
    say(connect(sock, target))
    go()
    say(_wakes(sock), so_error(sock), so_error(sock))


def _wakes(sock: socket.socket) -> bool:
    """Whether a program that waits for writability learns that something has happened."""
    events = ready(sock, select.POLLOUT)
    return "OUT" in events and "ERR" in events and "HUP" in events


def twice(target: Address) -> None:
    """The outcome for a blocking socket, and for another one."""
    say(_attempt(target, blocking=True))
    say(_attempt(target, blocking=False))


def until_one_succeeds(target: Address) -> None:
    """The outcomes for blocking sockets and others in turn."""
    outcomes = [""]
    while outcomes[-1] not in ("ok", "0"):
        outcomes.append(_attempt(target, blocking=len(outcomes) % 2 == 1))
    say(*outcomes)


def _attempt(target: Address, *, blocking: bool) -> str:
    sock = opened(target, blocking=blocking)
    result = connect(sock, target)
    if result == "EINPROGRESS":
        ready(sock)
        return so_error(sock)
    return result
