"""Registrations are kept true while the kernel is told something else: across a change of sockets, too."""

from __future__ import annotations

import os
import select
import socket
from errno import EINPROGRESS

import pytest

from socksify import _originals
from socksify.tunnel.proxy_addresses import ProxyAddresses
from socksify.tunnel.registry import registry
from tests.support.stepping import MOMENT, SECONDS, stepping


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.epoll_masks, "registrations", {})


def test_what_is_noted_is_known_until_it_is_closed() -> None:
    registry.epoll_masks.note(8, 3, select.EPOLLIN)
    registry.epoll_masks.note(9, 3, select.EPOLLOUT)
    registry.epoll_masks.note(8, 3, select.EPOLLPRI)
    assert [registry.epoll_masks.mask_of(epoll, 3) for epoll in (8, 9, 10)] == [select.EPOLLPRI, select.EPOLLOUT, 0]
    assert registry.epoll_masks.mask_of(10, 3, -1) == -1
    registry.epoll_masks.forget(8, 3)
    registry.epoll_masks.forget(8, 4)
    assert registry.epoll_masks.registrations == {3: {9: select.EPOLLOUT}}
    registry.epoll_masks.closed(3)
    registry.epoll_masks.closed(3)
    assert registry.epoll_masks.registrations == {}


def test_priming_reads_every_epoll_object_of_the_process() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, select.epoll() as first, select.epoll() as second:
        _originals.epoll_register(first, ours, select.EPOLLIN)
        _originals.epoll_register(second, ours, select.EPOLLOUT | select.EPOLLET)
        _originals.epoll_register(second, theirs, 0)
        registry.epoll_masks.prime()
        always = select.EPOLLERR | select.EPOLLHUP
        assert registry.epoll_masks.mask_of(first.fileno(), ours.fileno()) == select.EPOLLIN | always
        edge = select.EPOLLOUT | select.EPOLLET | always
        assert registry.epoll_masks.mask_of(second.fileno(), ours.fileno()) & 0xFFFFFFFF == edge
        assert registry.epoll_masks.mask_of(second.fileno(), theirs.fileno()) == always


def test_priming_opens_and_keeps_nothing() -> None:
    with select.epoll():
        before = os.listdir("/proc/self/fd")
        registry.epoll_masks.prime()
        assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize("mask", [select.EPOLLIN, select.EPOLLOUT, select.EPOLLOUT | select.EPOLLET])
def test_the_next_address_of_the_proxy_is_watched_like_the_first(monkeypatch: pytest.MonkeyPatch, mask: int) -> None:
    """The first fails only after a while, and the second is of another family: a fresh socket takes over the fd."""
    with (
        stepping() as steps,
        socket.socket(socket.AF_INET6) as listener,
        socket.socket(socket.AF_INET6) as first,
    ):
        proxy = steps.proxy
        listener.bind(("::1", 0))
        listener.listen(0)
        dead = listener.getsockname()
        _originals.connect(first, dead)
        candidates = [(socket.AF_INET6, dead, False), (socket.AF_INET, (proxy.host, proxy.port), False)]
        monkeypatch.setattr(ProxyAddresses, "candidates", lambda *_: list(candidates))
        with socket.socket(socket.AF_INET6) as sock, select.epoll() as epoll:
            sock.setblocking(False)
            # Bound, it cannot reach IPv4 by mapped addresses.
            sock.bind(("::1", 0))
            assert sock.connect_ex(("2001:db8::1", 80)) == EINPROGRESS
            epoll.register(sock, mask)
            # The SYN that was dropped is sent again after a second, and then refused.
            listener.close()
            steps.play(lambda: epoll.poll(MOMENT))
            if mask & select.EPOLLOUT:
                assert epoll.poll(SECONDS) == [(sock.fileno(), select.EPOLLOUT)]
            else:
                assert epoll.poll(MOMENT) == []
                assert select.select([], [sock], [], SECONDS)[1] == [sock]
