"""What is known of each kernel socket: found by fd, verified, and gone when the socket is."""

from __future__ import annotations

import gc
import os
import socket
import warnings
from collections.abc import Iterator

import pytest

from socksify import config
from socksify.routing.route import Via
from socksify.routing.router import Router
from socksify.tunnel.registry import registry
from socksify.tunnel.state import Tunnel, not_connected


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    assert not registry.by_fd
    yield
    registry.sweep()
    assert not registry.by_fd
    assert not registry.unsettled


@pytest.fixture
def tunnel() -> Tunnel:
    """An open one: it has neither a handshake nor an error."""
    settings = config.load({"proxy": "socks5h://192.0.2.1:1080"}, {}, "/nonexistent")
    route = Router(settings).decide(socket.AF_INET, ("203.0.113.5", 80))
    assert isinstance(route, Via)
    return Tunnel(route)


def test_a_socket_is_found_and_no_other(tunnel: Tunnel) -> None:
    with socket.socket() as sock, socket.socket() as other:
        registry.add(sock, tunnel)
        assert registry.find(sock) is tunnel
        assert registry.find(other) is None
        registry.drop(sock.fileno(), tunnel)
        assert registry.find(sock) is None
        assert tunnel.released


def test_a_closed_socket_is_not_found(tunnel: Tunnel) -> None:
    with socket.socket() as sock:
        registry.add(sock, tunnel)
    assert registry.find(sock) is None


def test_the_next_socket_on_a_closed_ones_fd_is_not_found(tunnel: Tunnel) -> None:
    sock = socket.socket()
    fd = sock.fileno()
    registry.add(sock, tunnel)
    registry.detach(sock)
    os.close(sock.detach())
    with socket.socket() as other:
        assert other.fileno() == fd
        assert registry.find(other) is None


def test_a_copy_is_adopted_by_the_kernels_name_for_it(tunnel: Tunnel) -> None:
    with socket.socket() as sock, sock.dup() as other, socket.socket() as stranger:
        registry.add(sock, tunnel)
        assert registry.add_copy(other) is tunnel
        assert registry.add_copy(stranger) is None
        assert sorted(tunnel.holders) == sorted([sock.fileno(), other.fileno()])
        assert set(tunnel.objects()) == {sock, other}


def test_a_detached_fd_is_adopted(tunnel: Tunnel) -> None:
    sock = socket.socket()
    registry.add(sock, tunnel)
    registry.detach(sock)
    with socket.socket(fileno=sock.detach()) as other:
        assert tunnel.holder() is None
        assert registry.add_copy(other) is tunnel
        assert tunnel.holder() is other


def test_a_collected_socket_is_forgotten_at_once(tunnel: Tunnel) -> None:
    sock = socket.socket()
    registry.add(sock, tunnel)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del sock
        gc.collect()
    assert not registry.by_fd
    assert tunnel.released


def test_what_was_closed_behind_our_back_is_swept(tunnel: Tunnel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_sweep_at", 64)
    for _ in range(300):
        sock = socket.socket()
        registry.add(sock, Tunnel(tunnel.route))
        registry.detach(sock)
        # The next socket gets another number, so that the entry is not simply replaced.
        fd = sock.detach()
        keep = os.dup(fd)
        os.close(fd)
        os.close(keep)
    assert len(registry.by_fd) <= 64


def test_a_fork_fails_what_was_pending() -> None:
    assert registry.deadlines.oldest() is None
    registry.after_fork()
    assert not_connected().errno == 107
