"""A non-blocking connect as select, poll, epoll and the selectors show it: nothing before the tunnel is open."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from errno import EALREADY, ECONNREFUSED, EINPROGRESS, EISCONN
from select import POLLERR, POLLHUP, POLLIN, POLLOUT
from time import monotonic

import pytest

from socksify import last_error
from tests.support.pollers import POLLERS, Epoll, Poll, Poller
from tests.support.stepping import MOMENT, SECONDS, TARGET, Stepping, begin, stepping


@pytest.fixture(params=POLLERS)
def poller(request: pytest.FixtureRequest) -> Iterator[Poller]:
    """Made while installed."""
    request.getfixturevalue("steps")
    made = POLLERS[request.param](POLLOUT)
    yield made
    made.close()


def is_open(sock: socket.socket) -> bool:
    """Whether the tunnel is open, by all that a client can ask, and whether it echoes."""
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    assert sock.connect_ex(TARGET) == EISCONN
    assert sock.getpeername() == TARGET
    assert type(sock) is socket.socket
    sock.settimeout(SECONDS)
    sock.sendall(b"ping")
    return sock.recv(4) == b"ping"


@pytest.mark.usefixtures("steps")
def test_a_pending_connect_answers_as_the_kernel_does(sock: socket.socket) -> None:
    assert sock.connect_ex(TARGET) == EINPROGRESS
    for _ in range(3):
        assert sock.connect_ex(TARGET) == EALREADY
    with pytest.raises(BlockingIOError) as caught:
        sock.connect(TARGET)
    assert caught.value.errno == EALREADY
    with pytest.raises(OSError, match="not connected"):
        sock.getpeername()


def test_nothing_is_reported_before_the_tunnel_is_open(steps: Stepping, poller: Poller, sock: socket.socket) -> None:
    with pytest.raises(BlockingIOError) as caught:
        sock.connect(TARGET)
    assert caught.value.errno == EINPROGRESS
    poller.add(sock)
    steps.play(lambda: poller.wait(MOMENT))
    assert poller.wait(SECONDS) == POLLOUT
    assert is_open(sock)


def test_an_fd_may_be_registered_before_it_connects(steps: Stepping, poller: Poller, sock: socket.socket) -> None:
    poller.add(sock)
    # Never connected: the kernel says so. This disarms EPOLLONESHOT.
    assert poller.wait(SECONDS) & POLLOUT
    begin(sock)
    steps.play(lambda: poller.wait(MOMENT))
    poller.remove(sock)
    poller.add(sock)
    assert poller.wait(SECONDS) == POLLOUT
    assert is_open(sock)


def test_polling_without_waiting_drives_the_handshake(steps: Stepping, poller: Poller, sock: socket.socket) -> None:
    begin(sock)
    poller.add(sock)
    steps.play(lambda: [poller.wait(seconds) for seconds in (0, 0.0, MOMENT / 1000)] != [0, 0, 0])
    assert poller.wait(SECONDS) == POLLOUT


@pytest.mark.parametrize("seconds", [None, -1, -0.5, SECONDS])
def test_a_wait_lasts_until_the_tunnel_is_open(
    steps: Stepping, poller: Poller, sock: socket.socket, seconds: float | None
) -> None:
    if not isinstance(poller, (Poll, Epoll)) and seconds is not None and seconds < 0:
        # select(2) refuses negative timeouts, the selectors take them for zero.
        seconds = None
    begin(sock)
    poller.add(sock)
    steps.run()
    assert poller.wait(seconds) == POLLOUT
    assert is_open(sock)


@pytest.mark.usefixtures("steps")
def test_a_fraction_of_a_second_is_waited_for(poller: Poller, sock: socket.socket) -> None:
    begin(sock)
    poller.add(sock)
    started = monotonic()
    assert not poller.wait(0.0625)
    # The selectors of the stdlib round down to a millisecond.
    assert monotonic() - started >= 0.06


@pytest.mark.parametrize("name", POLLERS)
def test_a_banner_glued_to_the_reply_is_readable(name: str) -> None:
    with stepping(banner=b"220 hello\r\n") as steps, socket.socket() as sock, closing(POLLERS[name](POLLIN)) as poller:
        begin(sock)
        poller.add(sock)
        steps.play(lambda: poller.wait(MOMENT))
        assert poller.wait(SECONDS) == POLLIN
        assert sock.recv(100) == b"220 hello\r\n"


@pytest.mark.parametrize("name", POLLERS)
def test_the_outcome_of_a_failure_is_told_once(name: str) -> None:
    with stepping(reply=5) as steps, socket.socket() as sock, closing(POLLERS[name](POLLOUT)) as poller:
        begin(sock)
        poller.add(sock)
        steps.play(lambda: poller.wait(MOMENT))
        reported = poller.wait(SECONDS)
        assert reported in (POLLOUT, POLLIN | POLLOUT, POLLOUT | POLLERR | POLLHUP)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == ECONNREFUSED
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        assert isinstance(last_error(sock), ConnectionRefusedError)
