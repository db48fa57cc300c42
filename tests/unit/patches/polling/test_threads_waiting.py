"""Several threads, one pending connect: nobody is told too early, nobody is left behind."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from errno import EALREADY, ETIMEDOUT
from select import EPOLLET, EPOLLIN, EPOLLOUT, POLLIN, POLLOUT
from time import monotonic

import pytest

from socksify import _originals
from socksify.patches.adapters import external_loops
from tests.support.bad_proxy import BadProxy
from tests.support.pollers import POLLERS
from tests.support.routing import routed
from tests.support.stepping import ANYWHERE, MOMENT, SECONDS, TARGET, Stepping, begin, stepping
from tests.support.steps import HANG, READ_GREETING

# One of each kind of wait: by the kernel's own lists, by an object's, by an epoll instance.
KINDS = ["select", "poll", "epoll", "EPOLLET"]


@pytest.mark.parametrize("second", KINDS)
@pytest.mark.parametrize("first", KINDS)
def test_two_threads_wait_for_one_connect(steps: Stepping, sock: socket.socket, first: str, second: str) -> None:
    begin(sock)
    pollers = [POLLERS[name](POLLOUT) for name in (first, second)]
    for poller in pollers:
        poller.add(sock)
    with ThreadPoolExecutor(2) as threads:
        waits = [threads.submit(poller.wait, None) for poller in pollers]
        steps.run()
        assert [wait.result(SECONDS) for wait in waits] == [POLLOUT, POLLOUT]
    for poller in pollers:
        poller.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_thread_waits_for_what_another_connects(steps: Stepping, kind: str) -> None:
    """connect() waits itself, and a thread that polls the same socket does not take its answers away."""
    with socket.socket() as sock, ThreadPoolExecutor(2) as threads:
        sock.settimeout(SECONDS)
        connecting = threads.submit(sock.connect, TARGET)
        until(lambda: steps.stops == 1)
        poller = POLLERS[kind](POLLOUT)
        poller.add(sock)
        waiting: Future[int] = threads.submit(poller.wait, None)
        assert sock.connect_ex(TARGET) == EALREADY
        steps.run()
        assert connecting.result(SECONDS) is None
        assert waiting.result(SECONDS) == POLLOUT
        poller.close()


def until(condition: Callable[[], bool]) -> None:
    """Waits, by looking: what the proxy's thread does makes no sound."""
    end = monotonic() + SECONDS
    while not condition() and monotonic() < end:
        threading.Event().wait(MOMENT)
    assert condition()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_thread_already_waits_in_epoll(steps: Stepping, sock: socket.socket, when: str) -> None:
    """It entered the kernel when no handshake was pending; the fd joins its set `before` or `after` the connect."""
    with select.epoll() as epoll, ThreadPoolExecutor(1) as threads:
        if when == "before":
            epoll.register(sock, EPOLLOUT | EPOLLET)
            assert epoll.poll(SECONDS) == [(sock.fileno(), EPOLLOUT | select.EPOLLHUP)]
        wait = threads.submit(epoll.poll, None)
        until(wait.running)
        begin(sock)
        if when == "after":
            epoll.register(sock, EPOLLOUT)
        steps.play(lambda: wait.done() or select.select([], [], [], MOMENT)[1])
        assert wait.result(SECONDS) == [(sock.fileno(), EPOLLOUT)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_time_is_over_in_the_middle_of_an_infinite_wait(kind: str) -> None:
    with stepping(connect_timeout=0.1), socket.socket() as sock:
        begin(sock)
        poller = POLLERS[kind](POLLIN)
        poller.add(sock)
        assert poller.wait(None) & POLLIN
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == ETIMEDOUT
        poller.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_patient_connect_does_not_hold_up_the_time_of_others(kind: str) -> None:
    """The one that began first has longer to live than the one that began after it."""
    with (
        BadProxy([READ_GREETING, HANG]) as proxy,
        routed(proxy.url(), routes=ANYWHERE, connect_timeout=0.1),
        socket.socket() as patient,
        socket.socket() as sock,
        ThreadPoolExecutor(1) as threads,
    ):
        patient.settimeout(3 * SECONDS)
        connecting = threads.submit(patient.connect_ex, TARGET)
        until(lambda: len(proxy.sessions) == 1)
        begin(sock)
        poller = POLLERS[kind](POLLOUT)
        poller.add(sock)
        try:
            assert poller.wait(SECONDS)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == ETIMEDOUT
        finally:
            poller.close()
            proxy.sessions[0].end()
            connecting.result(SECONDS)


def test_a_wait_for_something_else_goes_on_with_handshakes(steps: Stepping, sock: socket.socket) -> None:
    """A poller that knows nothing of the pending fd is not disturbed by it, nor told of it."""
    ours, theirs = socket.socketpair()
    with ours, theirs, select.epoll() as epoll, ThreadPoolExecutor(1) as threads:
        epoll.register(ours, EPOLLIN)
        begin(sock)
        wait = threads.submit(epoll.poll, None)
        steps.play(lambda: wait.done() or select.select([], [sock], [], MOMENT)[1])
        theirs.send(b"x")
        assert wait.result(SECONDS) == [(ours.fileno(), EPOLLIN)]


@pytest.mark.timeout(20)
def test_a_server_accepts_while_a_loop_goes_on_with_handshakes(steps: Stepping, sock: socket.socket) -> None:
    """Nobody but that loop, in this very thread, is to go on with them; accept() would wait for it for ever."""
    with socket.socket() as listener, socket.socket() as client:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        begin(sock)
        tunnel = external_loops.pending(sock.fileno())
        assert tunnel is not None
        waits = external_loops.steps(tunnel)
        for stop in (0, 1):
            readable, _ = next(waits)
            steps.go()
            poller = _originals.poll()
            poller.register(sock, POLLIN if readable else POLLOUT)
            assert poller.poll(SECONDS * 1000), stop
            with pytest.raises(BlockingIOError):
                listener.accept()
        _originals.connect(client, listener.getsockname())
        accepted, _ = listener.accept()
        accepted.close()
        waits.close()


def test_closing_in_another_thread_wakes_who_waits(sock: socket.socket) -> None:
    begin(sock)
    poll = select.poll()
    poll.register(sock, POLLOUT)
    with ThreadPoolExecutor(1) as threads:
        wait = threads.submit(poll.poll, None)
        until(wait.running)
        sock.close()
        assert wait.result(SECONDS)


def test_a_hundred_at_once_from_ten_threads() -> None:
    with stepping() as steps, ThreadPoolExecutor(10) as threads:
        steps.run()

        def one(number: int) -> bytes:
            with socket.socket() as sock:
                begin(sock)
                assert select.select([], [sock], [], SECONDS)[1] == [sock]
                assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
                sock.settimeout(SECONDS)
                sock.sendall(b"%d" % number)
                return sock.recv(9)

        assert list(threads.map(one, range(100))) == [b"%d" % number for number in range(100)]
