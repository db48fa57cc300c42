"""Clocks, and what is sifted out of the kernel's report."""

from __future__ import annotations

import select
import socket
from select import POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT
from time import monotonic

import pytest

from socksify.config.proxy_url import Proxy
from socksify.config.rules import Rule
from socksify.protocol import client
from socksify.protocol.address import Address
from socksify.protocol.conversation import Conversation
from socksify.routing.route import Via
from socksify.tunnel import readiness
from socksify.tunnel.readiness import Clock
from socksify.tunnel.registry import Registry, registry
from socksify.tunnel.state import BindListener, Tunnel
from tests.support.stepping import MOMENT, SECONDS, begin, stepping


def via() -> Via:
    return Via((Proxy("socks5", "192.0.2.1", 1080),), Address.of("203.0.113.5", 80), (), Rule("*=proxy", "", "proxy"))


# An fd that nobody has.
NOBODY = 1 << 20


@pytest.mark.parametrize("timeout", [None, -1, -0.001])
def test_no_timeout_is_for_ever(timeout: float | None) -> None:
    clock = Clock(timeout, monotonic())
    assert not clock.is_over()
    assert clock.timeout() is None
    # Not so where another thread may settle what is waited for.
    assert clock.short_timeout() == pytest.approx(0.1)


@pytest.mark.parametrize("timeout", [0, 0.5, 3])
def test_a_timeout_counts_from_its_start(timeout: float) -> None:
    fresh, over = Clock(timeout, monotonic()), Clock(timeout, monotonic() - timeout - 1)
    left = fresh.timeout()
    assert left is not None
    assert 0 <= left <= timeout
    assert over.is_over()
    assert over.timeout() == 0
    assert over.short_timeout() == 0


def test_a_wait_ends_at_the_deadline_of_what_is_pending() -> None:
    with stepping(connect_timeout=5), socket.socket() as sock:
        begin(sock)
        for timeout in (None, 60):
            left = Clock(timeout, monotonic()).timeout()
            assert left is not None
            assert 4 < left <= 5
        left = Clock(1, monotonic()).timeout()
        assert left is not None
        assert left <= 1


def test_what_is_no_tunnels_passes() -> None:
    events = [(NOBODY, POLLIN), (NOBODY + 1, POLLOUT | POLLHUP), (NOBODY + 2, POLLNVAL)]
    assert readiness.sift(events, lambda _: POLLIN | POLLOUT) == (events, False)
    assert readiness.sift(events, lambda _: -1) == (events, False)
    assert readiness.sift([], lambda _: 0) == ([], False)


def test_what_only_a_stand_in_asked_for_does_not_pass() -> None:
    """Another thread settled the tunnel between the kernel's report and the look at it."""
    assert readiness.sift([(NOBODY, POLLIN)], lambda _: POLLOUT) == ([], True)
    assert readiness.sift([(NOBODY, POLLIN | POLLHUP)], lambda _: POLLOUT) == ([(NOBODY, POLLHUP)], False)


def test_what_is_pending_does_not_pass_and_what_failed_is_told_in_full() -> None:
    with stepping(reply=5) as steps, socket.socket() as sock:
        begin(sock)
        fd = sock.fileno()
        assert readiness.wanted(fd) == POLLOUT
        assert readiness.sift([(fd, POLLOUT)], lambda _: POLLOUT) == ([], False)
        assert readiness.wanted(fd) == POLLIN
        steps.run()
        assert select.select([sock], [], [], SECONDS)[0] == [sock]
        assert readiness.wanted(fd) is None
        assert readiness.sift([(fd, 0)], lambda _: POLLOUT) == ([(fd, POLLOUT | POLLERR | POLLHUP)], False)
        assert readiness.sift([(fd, 0)], lambda _: 0) == ([(fd, POLLERR | POLLHUP)], False)


@pytest.mark.parametrize(("mask", "told"), [(POLLOUT, POLLOUT), (POLLIN, 0), (POLLIN | POLLOUT, POLLOUT)])
def test_what_another_thread_has_opened_meanwhile_has_not_failed(
    monkeypatch: pytest.MonkeyPatch, mask: int, told: int
) -> None:
    """The stand-in's event is not for the client, and an edge may have been its own: the kernel is asked again."""
    one, other = socket.socketpair()
    with stepping(), one, other:
        opened = Tunnel(via())
        monkeypatch.setattr(Registry, "unsettled_at", lambda *_: opened)
        assert readiness.sift([(one.fileno(), POLLIN)], lambda _: mask) == (
            [(one.fileno(), told)] * bool(told),
            not told,
        )


@pytest.mark.parametrize("mask", [POLLIN, POLLIN | POLLOUT])
def test_an_answer_that_another_thread_has_read_is_no_peer(monkeypatch: pytest.MonkeyPatch, mask: int) -> None:
    """The proxy's first answer to a BIND made the socket readable; a peer comes with the second one."""
    one, other = socket.socketpair()
    with stepping(), one, other:
        listener = BindListener([], via(), SECONDS, False, lambda _: 0)
        listener.set_listening(True)
        listener.await_peer(Conversation(client.socks5_peer()))
        listening = Tunnel(via(), listener)
        monkeypatch.setattr(Registry, "unsettled_at", lambda *_: listening)
        assert readiness.sift([(one.fileno(), POLLIN)], lambda _: mask) == ([], True)
        other.sendall(b"the second answer")
        assert readiness.sift([(one.fileno(), POLLIN)], lambda _: mask) == ([(one.fileno(), POLLIN)], False)


def test_waiting_costs_the_same_however_many_are_pending() -> None:
    """Counted in looks at tunnels: those that are ready are looked at, and nobody else."""
    looks = 0

    class Counting(dict[int, Tunnel]):
        def get(self, *arguments: object) -> object:  # type: ignore[override]
            nonlocal looks
            looks += 1
            return super().get(*arguments)  # type: ignore[call-overload]

    with stepping() as steps, select.epoll() as epoll:
        socks = [socket.socket() for _ in range(100)]
        for sock in socks:
            begin(sock)
            epoll.register(sock, POLLOUT)
        while min((len(session.received) for session in steps.proxy.sessions), default=0) < 3 or steps.stops < 100:
            assert epoll.poll(MOMENT) == []
        everything, registry.unsettled = registry.unsettled, Counting(registry.unsettled)
        try:
            assert epoll.poll(MOMENT) == []
        finally:
            registry.unsettled = everything
            for sock in socks:
                sock.close()
    assert looks <= 2
