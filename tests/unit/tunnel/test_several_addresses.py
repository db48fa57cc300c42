"""A proxy's name with several addresses, of which some are silent, and one whose addresses change."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import select
import socket
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

import socksify
from socksify import _originals
from socksify.tunnel import proxy_addresses
from socksify.tunnel.registry import registry
from tests.support.bad_proxy import BadProxy
from tests.support.processes import free_port
from tests.support.routing import routed
from tests.support.steps import HANG, READ_GREETING, READ_HTTP, Delay, good
from tests.support.targets import Target

NAME = "proxy.example"
LIMIT = 3.0


class World:
    """What the proxy's name stands for: literals of this machine, a port."""

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self.asked = 0

    def answer(self, host: Any, port: Any, *_: Any) -> Any:
        assert bytes(host) == NAME.encode()
        self.asked += 1
        if not self.addresses:
            raise socket.gaierror(socket.EAI_AGAIN, "later")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in self.addresses]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World()
    originals = SimpleNamespace(
        getaddrinfo=world.answer, InternalHost=_originals.InternalHost, InternalAddress=_originals.InternalAddress
    )
    monkeypatch.setattr(proxy_addresses, "_originals", originals)
    registry.proxy_addresses._resolved.clear()
    yield world
    registry.proxy_addresses._resolved.clear()


@contextlib.contextmanager
def silent(port: int, host: str = "127.0.0.2") -> Iterator[socket.socket]:
    """Takes connections, and never answers."""
    with socket.create_server((host, port)) as listener:
        yield listener


@contextlib.contextmanager
def full(port: int, host: str = "127.0.0.2") -> Iterator[None]:
    """Has no room for another connection, so that a connect(2) is not answered."""
    with socket.socket() as listener, contextlib.ExitStack() as crowd:
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(4):
            stream = crowd.enter_context(socket.socket())
            stream.setblocking(False)
            stream.connect_ex((host, port))
        yield


def echoes(sock: socket.socket) -> None:
    sock.settimeout(10)
    sock.sendall(b"ping")
    assert sock.recv(4, socket.MSG_WAITALL) == b"ping"


def through(how: str, sock: socket.socket, target: Target) -> None:
    """Connects in one of the ways there are."""
    if how == "timeout":
        sock.settimeout(LIMIT)
    sock.setblocking(how == "blocking") if how != "timeout" else None
    code = sock.connect_ex(target.address)
    if how in ("select", "poll", "SO_ERROR"):
        assert code == errno.EINPROGRESS
        code = waited(how, sock)
    assert code == 0, errno.errorcode.get(code)


def waited(how: str, sock: socket.socket) -> int:
    if how == "select":
        assert select.select([], [sock], [], 10)[1]
    if how == "poll":
        poller = select.poll()
        poller.register(sock, select.POLLOUT)
        assert poller.poll(10_000)
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


@pytest.mark.parametrize("how", ["timeout", "blocking", "select", "poll"])
@pytest.mark.parametrize("scheme", ["socks5h", "socks5h://me:pw@"])
def test_the_second_address_is_tried_when_the_first_says_nothing(
    scheme: str, how: str, world: World, echo_server: Target
) -> None:
    world.addresses = ["127.0.0.2", "127.0.0.1"]
    with BadProxy(good("socks5h", password="@" in scheme)) as proxy, silent(proxy.port):
        url = f"{scheme}{NAME}:{proxy.port}" if "@" in scheme else f"{scheme}://{NAME}:{proxy.port}"
        with routed(url, connect_timeout=LIMIT):
            with socket.socket() as sock:
                began = time.monotonic()
                through(how, sock, echo_server)
                assert LIMIT / 2 <= time.monotonic() - began < LIMIT
                echoes(sock)
            # Nobody waits for the silent one again.
            with socket.socket() as sock:
                began = time.monotonic()
                through(how, sock, echo_server)
                assert time.monotonic() - began < LIMIT / 2
                echoes(sock)


@pytest.mark.parametrize("how", ["timeout", "select"])
@pytest.mark.parametrize("scheme", ["socks5h", "socks4a", "http"])
def test_so_it_is_when_the_first_cannot_be_connected_to(
    scheme: str, how: str, world: World, echo_server: Target
) -> None:
    world.addresses = ["127.0.0.2", "127.0.0.3", "127.0.0.1"]
    with (
        BadProxy(good(scheme)) as proxy,
        full(proxy.port),
        full(proxy.port, "127.0.0.3"),
        routed(f"{scheme}://{NAME}:{proxy.port}", connect_timeout=LIMIT),
        socket.socket() as sock,
    ):
        through(how, sock, echo_server)
        echoes(sock)


def test_asyncio_gets_there_as_well(world: World, echo_server: Target) -> None:
    world.addresses = ["127.0.0.2", "127.0.0.1"]

    async def main() -> bytes:
        reader, writer = await asyncio.open_connection(*echo_server.address)
        writer.write(b"ping")
        answer = await reader.readexactly(4)
        writer.close()
        await writer.wait_closed()
        return answer

    with (
        BadProxy(good("socks5h")) as proxy,
        silent(proxy.port),
        routed(f"socks5h://{NAME}:{proxy.port}", connect_timeout=LIMIT),
    ):
        assert asyncio.run(asyncio.wait_for(main(), 10)) == b"ping"


@pytest.mark.parametrize("how", ["timeout", "select"])
def test_where_all_are_silent_the_time_is_over_as_ever(how: str, world: World, echo_server: Target) -> None:
    world.addresses = ["127.0.0.2", "127.0.0.3"]
    port = free_port()
    with silent(port), silent(port, "127.0.0.3"), routed(f"socks5h://{NAME}:{port}", connect_timeout=1.0):
        with socket.socket() as sock:
            sock.settimeout(1.0 if how == "timeout" else 0)
            began = time.monotonic()
            if how == "timeout":
                with pytest.raises(TimeoutError, match="timed out after 1 s"):
                    sock.connect(echo_server.address)
            else:
                assert sock.connect_ex(echo_server.address) == errno.EINPROGRESS
                assert waited(how, sock) == errno.ETIMEDOUT
            assert 0.9 < time.monotonic() - began < 5
        assert registry.proxy_addresses._resolved == {}


@pytest.mark.parametrize("scheme", ["socks5h", "http"])
def test_a_slow_answer_is_waited_for(scheme: str, world: World, echo_server: Target) -> None:
    """To the greeting for a share of the time; to a request, which may be under way, for all of it."""
    world.addresses = ["127.0.0.1", "127.0.0.2"]
    start = [READ_GREETING, *good(scheme)[1:2]] if scheme == "socks5h" else [READ_HTTP]
    rest = good(scheme)[len(start) :]
    with BadProxy([*start, Delay(LIMIT / 2 + 0.3), *rest], [HANG]) as proxy:
        with routed(f"{scheme}://{NAME}:{proxy.port}", connect_timeout=LIMIT), socket.socket() as sock:
            through("timeout", sock, echo_server)
            echoes(sock)
        assert len(proxy.sessions) == 1


@pytest.mark.parametrize("how", ["timeout", "blocking", "select"])
def test_a_proxy_that_has_moved_is_found(how: str, world: World, echo_server: Target) -> None:
    world.addresses = ["127.0.0.2"]
    with BadProxy(good("socks5h")) as proxy, routed(f"socks5h://{NAME}:{proxy.port}", connect_timeout=LIMIT):
        # Nobody listens there.
        registry.proxy_addresses.candidates(patched().proxy[0], socket.AF_INET)
        assert world.asked >= 1
        world.addresses = ["127.0.0.1"]
        with socket.socket() as sock:
            if how == "select":
                # It may not wait for a name server, so it is the next one that finds it.
                sock.setblocking(False)
                assert sock.connect_ex(echo_server.address) in (errno.EINPROGRESS, errno.ECONNREFUSED)
                waited(how, sock)
        with socket.socket() as sock:
            through(how, sock, echo_server)
            echoes(sock)


def patched() -> Any:
    from socksify.patches import scope

    return scope.installed.scope.settings


def test_silence_makes_it_be_looked_up_again(world: World, echo_server: Target) -> None:
    world.addresses = ["127.0.0.2"]
    with BadProxy(good("socks5h")) as proxy, silent(proxy.port), routed(f"socks5h://{NAME}:{proxy.port}"):
        with socket.socket() as sock:
            sock.settimeout(0.2)
            with pytest.raises(TimeoutError):
                sock.connect(echo_server.address)
        world.addresses = ["127.0.0.1"]
        with socket.socket() as sock:
            through("timeout", sock, echo_server)
            echoes(sock)


def test_after_a_while_it_is_looked_up_again(
    world: World, echo_server: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While its old address still answers, too; and a name server that is out of order changes nothing."""
    world.addresses = ["127.0.0.1"]
    with BadProxy(good("socks5h")) as proxy, routed(f"socks5h://{NAME}:{proxy.port}"):
        for _ in range(3):
            with socket.create_connection(echo_server.address, 10) as sock:
                echoes(sock)
        assert world.asked == 1
        monkeypatch.setattr(proxy_addresses, "FRESH_SECONDS", 0.0)
        world.addresses = []
        with socket.create_connection(echo_server.address, 10) as sock:
            echoes(sock)
        assert world.asked == 2
        world.addresses = ["127.0.0.2"]
        with pytest.raises(socksify.ProxyConnectionRefusedError):
            socket.create_connection(echo_server.address, 10)
