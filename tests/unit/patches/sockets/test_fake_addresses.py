"""Fake addresses in use: connected to, bound to, asked about, and lost."""

from __future__ import annotations

import asyncio
import errno
import socket
import urllib.request
from collections.abc import Callable
from pathlib import Path
from socket import AF_INET, AF_INET6, SOCK_DGRAM, SOCK_STREAM
from typing import Any

import pytest

from tests.support.bad_proxy import BadProxy, Script
from tests.support.routing import routed
from tests.support.steps import CLOSE, READ_GREETING, READ_REQUEST, Send, socks5_reply

pytestmark = pytest.mark.usefixtures("table")

# Nobody listens there.
URL = "socks5h://192.0.2.1:1080"
GRANTED: Script = [READ_GREETING, Send(b"\x05\0"), READ_REQUEST, Send(socks5_reply(0))]
NAME = "name.example"


def lost(literal: str) -> dict[str, Callable[[], object]]:
    """All that a client may do with an address."""
    family = AF_INET6 if ":" in literal else AF_INET
    return {
        "connect": lambda: with_socket(family, lambda sock: sock.connect((literal, 80))),
        "sendto": lambda: with_socket(family, lambda sock: sock.sendto(b"x", (literal, 80)), SOCK_DGRAM),
        "sendmsg": lambda: with_socket(family, lambda sock: sock.sendmsg([b"x"], [], 0, (literal, 80)), SOCK_DGRAM),
        "create_connection": lambda: socket.create_connection((literal, 80), timeout=5),
        "gethostbyaddr": lambda: socket.gethostbyaddr(literal),
        "getnameinfo": lambda: socket.getnameinfo((literal, 80), socket.NI_NAMEREQD),
    }


def with_socket(family: int, call: Callable[[socket.socket], object], kind: int = SOCK_STREAM) -> object:
    with socket.socket(family, kind) as sock:
        return call(sock)


@pytest.mark.parametrize("literal", ["198.19.200.200", "100::beef", "::ffff:198.19.200.200"])
@pytest.mark.parametrize("what", lost("::"))
def test_an_address_that_stands_for_nothing_says_so(literal: str, what: str, asked: list[Any]) -> None:
    with routed(URL, routes=()), pytest.raises(OSError, match="fake address that stands for no name"):
        lost(literal)[what]()
    assert asked == []


def test_connect_ex_has_the_errno_of_an_address_that_stands_for_nothing() -> None:
    with routed(URL, routes=()), socket.socket() as sock:
        assert sock.connect_ex(("198.19.200.200", 80)) == errno.EACCES


def test_an_address_that_stands_for_nothing_is_still_a_number() -> None:
    with routed(URL, routes=()):
        assert socket.getnameinfo(("198.19.200.200", 80), socket.NI_NUMERICSERV) == ("198.19.200.200", "80")
        assert socket.getaddrinfo("198.19.200.200", 80)[0][4] == ("198.19.200.200", 80)


def test_an_address_that_was_dropped_stands_for_nothing(asked: list[Any]) -> None:
    with routed(URL, routes=(), fake_networks=["198.51.100.0/24"]):
        first = socket.gethostbyname("first.example")
        for number in range(127):
            socket.gethostbyname(f"{number}.example")
        for call in lost(first).values():
            with pytest.raises(OSError, match="fake address that stands for no name"):
                call()
        assert socket.gethostbyname("first.example") != first
    assert asked == []


def connected(family: int, address: Any, path: Path) -> tuple[Any, Any, str]:
    """What the proxy is asked for, what getpeername() says, and what is logged."""
    with (
        BadProxy([*GRANTED, CLOSE]) as proxy,
        routed(proxy.url(), routes=(), log=str(path)),
        socket.socket(family) as sock,
    ):
        sock.connect(address() if callable(address) else address)
        return proxy.sessions[0].target, sock.getpeername(), path.read_text()


@pytest.mark.parametrize(
    ("family", "address", "peer"),
    [
        (AF_INET, (NAME, 80), ("198.18.0.1", 80)),
        (AF_INET6, (NAME, 80), ("100::1", 80, 0, 0)),
        (AF_INET, lambda: socket.getaddrinfo(NAME, 80)[0][4], ("198.18.0.1", 80)),
        (AF_INET6, lambda: socket.getaddrinfo(NAME, 80, AF_INET6)[0][4], ("100::1", 80, 0, 0)),
        (AF_INET, lambda: (socket.gethostbyname(NAME), 80), ("198.18.0.1", 80)),
        (AF_INET6, lambda: (f"::ffff:{socket.gethostbyname(NAME)}", 80, 5, 0), ("::ffff:198.18.0.1", 80, 5, 0)),
    ],
)
def test_the_proxy_gets_the_name_and_the_client_keeps_the_address(
    family: int, address: Any, peer: Any, tmp_path: Path
) -> None:
    target, told, logged = connected(family, address, tmp_path / "log")
    assert target == (NAME, 80)
    assert told == peer
    assert f"connect {NAME}:80 " in logged
    assert peer[0] not in logged


def test_the_proxy_gets_the_spelling_that_was_used_last(tmp_path: Path) -> None:
    spellings = (NAME, "Name.Example")
    target, _, _ = connected(
        AF_INET, lambda: [(socket.gethostbyname(name), 80) for name in spellings][1], tmp_path / "log"
    )
    assert target == ("Name.Example", 80)


def test_clients_go_by_name() -> None:
    answer = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    with BadProxy([*GRANTED, Send(answer), CLOSE]) as proxy, routed(proxy.url(), routes=()):
        with urllib.request.urlopen(f"http://{NAME}:81/", timeout=10) as page:
            assert page.read() == b"hi"
        assert asyncio.run(_read(NAME, 82)) == answer
        with socket.create_connection((NAME, 83), timeout=10, source_address=("localhost", 0)) as sock:
            assert sock.makefile("rb").read() == answer
        assert [session.target for session in proxy.sessions] == [(NAME, 81), (NAME, 82), (NAME, 83)]


async def _read(name: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(name, port, happy_eyeballs_delay=0.25)
    data = await reader.read()
    writer.close()
    await writer.wait_closed()
    return data


BINDINGS: list[tuple[int, Any]] = [
    (AF_INET, ("127.0.0.1", 0)),
    (AF_INET, ("", 0)),
    (AF_INET, (b"127.0.0.1", 0)),
    (AF_INET, ("localhost", 0)),
    (AF_INET6, ("::1", 0)),
    (AF_INET6, ("::", 0, 0, 0)),
    (AF_INET, ("<broadcast>", 0)),
    *((AF_INET, bad) for bad in (None, 5, "localhost", (), ("localhost",), ["localhost", 0], ("localhost", 0, 0))),
    *((AF_INET, ("127.0.0.1", bad)) for bad in (-1, 65536, "80", None, 1.5)),
    *((AF_INET, (bad, 0)) for bad in (None, 5, "a\0b", "::1", "é..x", "a b", "203.0.113.9", "256.1.1.1")),
    (AF_INET6, ("127.0.0.1", 0)),
    (AF_INET6, ("::1", 0, -1)),
    (AF_INET6, ("::1", 0, 0, 0, 0)),
]


def test_bind_takes_what_the_stdlib_takes() -> None:
    native = [_bound(*binding) for binding in BINDINGS]
    with routed(URL, routes=()):
        assert [_bound(*binding) for binding in BINDINGS] == native


def _bound(family: int, address: Any) -> object:
    with socket.socket(family) as sock:
        try:
            sock.bind(address)
        except Exception as error:
            return type(error), getattr(error, "errno", None), str(error)
        return sock.getsockname()[0]


def test_bind_asks_nobody_for_a_name(asked: list[Any]) -> None:
    # Nobody but the proxy knows it, and its address is not this machine's.
    unassigned = pytest.raises(OSError, match="Cannot assign requested address")
    with routed(URL, routes=()), socket.socket() as sock, unassigned:
        sock.bind((NAME, 0))
    assert asked == []
