"""Watchers in C, which believe the kernel: they ask for SO_ERROR without having polled anything that we can see."""

from __future__ import annotations

import select
import socket
from errno import ECONNREFUSED
from time import monotonic

import pytest

from socksify import _originals
from tests.support.stepping import SECONDS, TARGET, begin, stepping


def outcome(sock: socket.socket) -> int:
    """What a C watcher asks when the kernel has said that the fd is writable."""
    poll = _originals.poll()
    poll.register(sock, select.POLLOUT)
    assert poll.poll(SECONDS * 1000)
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


@pytest.mark.parametrize(("reply", "number"), [(0, 0), (5, ECONNREFUSED)])
def test_so_error_finishes_the_handshake(reply: int, number: int) -> None:
    with stepping(reply=reply) as steps, socket.socket() as sock:
        begin(sock)
        steps.run()
        assert outcome(sock) == number
        assert type(sock) is socket.socket
        if number == 0:
            assert sock.getpeername() == TARGET


def test_it_waits_no_longer_than_it_may() -> None:
    with stepping(c_watcher_timeout=0.1), socket.socket() as sock:
        begin(sock)
        started = monotonic()
        outcome(sock)
        assert 0.1 <= monotonic() - started < SECONDS / 2


@pytest.mark.parametrize("when", ["before", "after"])
def test_who_polls_is_not_made_to_wait(when: str) -> None:
    """An fd that an epoll object watches is not a C watcher's, even if it has not been polled yet."""
    with stepping(c_watcher_timeout=SECONDS), socket.socket() as sock, select.epoll() as epoll:
        if when == "before":
            epoll.register(sock, select.EPOLLOUT)
        begin(sock)
        if when == "after":
            epoll.register(sock, select.EPOLLOUT)
        started = monotonic()
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        assert monotonic() - started < SECONDS / 2
