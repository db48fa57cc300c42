"""epoll's own ways: edges, one shots, registrations changed under a pending handshake, or made before install()."""

from __future__ import annotations

import fcntl
import os
import select
import selectors
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from select import EPOLLERR, EPOLLET, EPOLLEXCLUSIVE, EPOLLHUP, EPOLLIN, EPOLLONESHOT, EPOLLOUT
from typing import Any

import pytest

from socksify import _originals
from socksify.tunnel.registry import registry
from tests.support.stepping import MOMENT, SECONDS, Stepping, begin, stepping


@pytest.fixture
def epoll(steps: Stepping) -> Iterator[select.epoll]:  # noqa: ARG001 (to be closed before the proxy ends)
    with select.epoll() as epoll:
        yield epoll


@contextmanager
def on_number(number: int) -> Iterator[socket.socket]:
    """A new socket whose fd is this free number."""
    with socket.socket() as made:
        if made.fileno() == number:
            yield made
            return
        assert fcntl.fcntl(made, fcntl.F_DUPFD_CLOEXEC, number) == number
    with socket.socket(fileno=number) as sock:
        yield sock


def test_an_edge_is_reported_once(steps: Stepping, epoll: select.epoll, sock: socket.socket) -> None:
    begin(sock)
    epoll.register(sock, EPOLLOUT | EPOLLET)
    steps.play(lambda: epoll.poll(MOMENT))
    assert epoll.poll(SECONDS) == [(sock.fileno(), EPOLLOUT)]
    assert epoll.poll(MOMENT) == []


def test_one_shot_is_one_shot(steps: Stepping, epoll: select.epoll, sock: socket.socket) -> None:
    begin(sock)
    epoll.register(sock, EPOLLOUT | EPOLLONESHOT)
    steps.play(lambda: epoll.poll(MOMENT))
    assert epoll.poll(SECONDS) == [(sock.fileno(), EPOLLOUT)]
    assert epoll.poll(MOMENT) == []
    epoll.modify(sock, EPOLLOUT | EPOLLONESHOT)
    assert epoll.poll(SECONDS) == [(sock.fileno(), EPOLLOUT)]


def test_a_mask_changed_while_pending_counts_when_it_is_over(
    steps: Stepping, epoll: select.epoll, sock: socket.socket
) -> None:
    begin(sock)
    epoll.register(sock, EPOLLOUT)
    epoll.modify(sock, EPOLLIN)
    steps.play(lambda: epoll.poll(MOMENT))
    assert epoll.poll(MOMENT) == []
    epoll.modify(sock, EPOLLOUT)
    assert epoll.poll(SECONDS) == [(sock.fileno(), EPOLLOUT)]


def test_unregistering_while_pending_lasts(steps: Stepping, epoll: select.epoll, sock: socket.socket) -> None:
    begin(sock)
    epoll.register(sock, EPOLLOUT)
    epoll.unregister(sock)
    with pytest.raises(FileNotFoundError):
        epoll.modify(sock, EPOLLIN)
    steps.play(lambda: select.select([], [sock], [], MOMENT)[1])
    assert select.select([], [sock], [], SECONDS)[1] == [sock]
    assert epoll.poll(MOMENT) == []
    epoll.register(sock, EPOLLOUT)
    assert epoll.poll(SECONDS) == [(sock.fileno(), EPOLLOUT)]


def test_registering_twice_is_refused_while_pending(epoll: select.epoll, sock: socket.socket) -> None:
    begin(sock)
    epoll.register(sock)
    with pytest.raises(FileExistsError):
        epoll.register(sock)


@pytest.mark.parametrize("mask", [EPOLLOUT | EPOLLEXCLUSIVE | EPOLLONESHOT, -1, "x", None])
def test_a_mask_that_the_kernel_refuses_is_refused_while_pending(
    epoll: select.epoll, sock: socket.socket, mask: int
) -> None:
    with socket.socket() as other, select.epoll() as native, pytest.raises((OSError, TypeError, OverflowError)) as said:
        _originals.epoll_register(native, other, mask)
    begin(sock)
    with pytest.raises(said.type, match=str(said.value).replace("[", r"\[")):
        epoll.register(sock, mask)
    epoll.register(sock, EPOLLOUT)
    with pytest.raises(said.type):
        epoll.modify(sock, mask)


def test_several_epoll_objects_watch_one_fd(steps: Stepping, sock: socket.socket) -> None:
    masks = [EPOLLOUT, EPOLLOUT | EPOLLET, EPOLLOUT | EPOLLONESHOT, EPOLLOUT | EPOLLEXCLUSIVE]
    with select.epoll() as early, select.epoll() as a, select.epoll() as b, select.epoll() as c:
        early.register(sock, masks[0])
        begin(sock)
        for epoll, mask in zip([a, b, c], masks[1:], strict=True):
            epoll.register(sock, mask)
        steps.play(lambda: [event for epoll in (early, a, b, c) for event in epoll.poll(MOMENT)])
        for epoll in (early, a, b, c):
            assert epoll.poll(SECONDS) == [(sock.fileno(), EPOLLOUT)]


@pytest.mark.parametrize("mask", [EPOLLOUT, EPOLLOUT | EPOLLET, EPOLLOUT | EPOLLEXCLUSIVE, EPOLLOUT | EPOLLONESHOT])
def test_a_registration_made_before_connect_is_kept(
    steps: Stepping, epoll: select.epoll, sock: socket.socket, mask: int
) -> None:
    epoll.register(sock, mask)
    begin(sock)
    steps.play(lambda: epoll.poll(MOMENT))
    assert epoll.poll(SECONDS) == [(sock.fileno(), EPOLLOUT)]
    assert (epoll.poll(MOMENT) == []) == bool(mask & (EPOLLET | EPOLLONESHOT))


def test_registrations_made_before_install_are_read_back() -> None:
    with select.epoll() as epoll, socket.socket() as sock, selectors.EpollSelector() as selector:
        sock.setblocking(False)
        epoll.register(sock, EPOLLOUT | EPOLLET)
        selector.register(sock, selectors.EVENT_WRITE)
        with stepping() as steps:
            assert (
                registry.epoll_masks.mask_of(epoll.fileno(), sock.fileno()) & 0xFFFFFFFF
                == EPOLLOUT | EPOLLET | EPOLLERR | EPOLLHUP
            )
            begin(sock)
            steps.play(lambda: epoll.poll(MOMENT) or selector.select(MOMENT))
            assert epoll.poll(SECONDS) == [(sock.fileno(), EPOLLOUT)]
            assert epoll.poll(MOMENT) == []
            assert [events for _, events in selector.select(SECONDS)] == [selectors.EVENT_WRITE]
            sock.close()


@pytest.mark.parametrize("kind", ["file", "epoll", "nothing"])
def test_the_number_of_a_closed_epoll_object_means_nothing(steps: Stepping, sock: socket.socket, kind: str) -> None:
    epoll = select.epoll()
    number = epoll.fileno()
    epoll.register(sock, EPOLLOUT)
    epoll.close()
    new: int | None = None
    other = select.epoll() if kind == "epoll" else None
    if kind == "file":
        new = os.open(os.devnull, os.O_RDONLY)
    try:
        assert number in {new, other.fileno() if other else None, number if kind == "nothing" else None}
        begin(sock)
        steps.play(lambda: select.select([], [sock], [], MOMENT)[1])
        assert select.select([], [sock], [], SECONDS)[1] == [sock]
        assert other is None or other.poll(0) == []
    finally:
        if new is not None:
            os.close(new)
        if other is not None:
            other.close()


def test_an_epoll_object_closed_while_pending_is_forgotten(steps: Stepping, sock: socket.socket) -> None:
    begin(sock)
    with select.epoll() as epoll:
        epoll.register(sock, EPOLLOUT)
    steps.play(lambda: select.select([], [sock], [], MOMENT)[1])
    assert select.select([], [sock], [], SECONDS)[1] == [sock]


def test_few_events_at_a_time_are_no_obstacle(steps: Stepping, epoll: select.epoll, sock: socket.socket) -> None:
    """maxevents=1, and a pending handshake that is ready stands before it in the queue."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        begin(sock)
        epoll.register(sock, EPOLLOUT)
        epoll.register(ours, EPOLLIN)
        steps.run()
        theirs.send(b"x")
        for _ in range(100):
            if epoll.poll(SECONDS, 1) == [(ours.fileno(), EPOLLIN)]:
                break
        assert ours.recv(1) == b"x"
        while not (events := epoll.poll(SECONDS, 1)):
            pass
        assert events == [(sock.fileno(), EPOLLOUT)]


@pytest.mark.parametrize("arguments", [("x",), (None, 0), (None, "x")])
def test_bad_arguments_raise_what_they_raise_natively(
    epoll: select.epoll, sock: socket.socket, arguments: tuple[Any, ...]
) -> None:
    with pytest.raises((TypeError, ValueError)) as said:
        _originals.epoll_poll(epoll, *arguments)
    begin(sock)
    with pytest.raises(said.type):
        epoll.poll(*arguments)


def test_a_closed_epoll_object_says_so(sock: socket.socket) -> None:
    epoll = select.epoll()
    epoll.close()
    begin(sock)
    for call in (lambda: epoll.poll(0), lambda: epoll.register(sock), lambda: epoll.modify(sock, 0)):
        with pytest.raises(ValueError, match="closed epoll"):
            call()
    with pytest.raises(ValueError, match="closed epoll"):
        epoll.unregister(sock)


def test_the_kernel_does_the_waiting(steps: Stepping, epoll: select.epoll, sock: socket.socket) -> None:
    """A wait of the client's is a few of the kernel's, not a loop that spins."""
    begin(sock)
    epoll.register(sock, EPOLLOUT)
    counted = 0

    def counting(self: select.epoll, *arguments: object) -> list[tuple[int, int]]:
        nonlocal counted
        counted += 1
        events: list[tuple[int, int]] = native(self, *arguments)
        return events

    native, _originals.epoll_poll = _originals.epoll_poll, counting
    try:
        assert epoll.poll(0.2) == []
        steps.run()
        assert epoll.poll(SECONDS) == [(sock.fileno(), EPOLLOUT)]
    finally:
        _originals.epoll_poll = native
    assert counted <= 10


def test_a_pending_fd_closed_is_gone_from_the_epoll_object(
    steps: Stepping, epoll: select.epoll, sock: socket.socket
) -> None:
    begin(sock)
    epoll.register(sock, EPOLLOUT)
    # The proxy's thread opens no more fds from then on.
    steps.reach(1, lambda: epoll.poll(MOMENT))
    number = sock.fileno()
    sock.close()
    assert epoll.poll(MOMENT) == []
    with on_number(number) as other:
        epoll.register(other, EPOLLOUT)
        assert epoll.poll(SECONDS) == [(number, EPOLLOUT | EPOLLHUP)]


def test_a_pending_fd_closed_behind_our_back_does_not_haunt_the_next(
    steps: Stepping, epoll: select.epoll, sock: socket.socket
) -> None:
    begin(sock)
    steps.reach(1, lambda: select.select([], [sock], [], MOMENT)[1])
    number = sock.detach()
    os.close(number)
    with on_number(number) as other:
        epoll.register(other, EPOLLOUT)
        assert epoll.poll(SECONDS) == [(number, EPOLLOUT | EPOLLHUP)]
        assert select.select([], [other], [], SECONDS)[1] == [other]
        poll = select.poll()
        poll.register(other, EPOLLOUT)
        assert poll.poll(1000) == [(number, EPOLLOUT | EPOLLHUP)]
