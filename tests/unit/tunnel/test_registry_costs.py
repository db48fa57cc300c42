"""A copy is found by the kernel's name for its socket: that costs the same with few tunnels and with thousands."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from socksify import config
from socksify.routing.route import Via
from socksify.routing.router import Router
from socksify.tunnel.registry import registry
from socksify.tunnel.state import Tunnel
from tests.support.routing import routed

FEW, MANY = 100, 4000


@pytest.fixture
def room() -> Iterator[None]:
    """For as many descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2 * MANY)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def tunnels(count: int) -> Iterator[socket.socket]:
    """As many open ones; yields the socket of one in the middle."""
    settings = config.load({"proxy": "socks5h://192.0.2.1:1080"}, {}, "/nonexistent")
    route = Router(settings).decide(socket.AF_INET, ("203.0.113.5", 80))
    assert isinstance(route, Via)
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in socks:
            registry.add(sock, Tunnel(route))
        yield socks[count // 2]


def work(call: Callable[[socket.socket], socket.socket], sock: socket.socket) -> tuple[int, socket.socket]:
    """How many functions, in Python and in C, a call calls; and what it returns."""
    count = 0

    def trace(_: FrameType, event: str, __: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(trace)
    try:
        copy = call(sock)
    finally:
        sys.setprofile(None)
    return count, copy


def _of_another(_: socket.socket) -> socket.socket:
    one, other = socket.socketpair()
    with one, other:
        return socket.socket(fileno=os.dup(one.fileno()))


COPIES: dict[str, Callable[[socket.socket], socket.socket]] = {
    "dup": socket.socket.dup,
    "fileno": lambda sock: socket.socket(fileno=os.dup(sock.fileno())),
    "of another": _of_another,
}


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_costs_the_same_among_thousands(way: str, room: None) -> None:  # noqa: ARG001
    counts = []
    with routed("socks5h://192.0.2.1:1080"):
        for among in (FEW, MANY):
            with tunnels(among) as sock:
                # A sweep belongs to the registrations, which pay for it.
                registry.sweep()
                count, copy = work(COPIES[way], sock)
                counts.append(count)
                with copy:
                    assert (registry.find(copy) is registry.find(sock)) is (way != "of another")
    assert counts[0] == counts[1]
