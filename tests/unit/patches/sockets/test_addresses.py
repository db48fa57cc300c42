"""What is given to connect() for an address: good ones reach the proxy, bad ones raise what the stdlib raises."""

from __future__ import annotations

import socket
from collections import namedtuple
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Any

import pytest

from tests.support.bad_proxy import BadProxy, Script
from tests.support.routing import routed
from tests.support.steps import (
    CLOSE,
    READ_GREETING,
    READ_HTTP,
    READ_REQUEST,
    READ_SOCKS4,
    Send,
    http_reply,
    socks4_reply,
    socks5_reply,
)
from tests.support.targets import Target

ANYWHERE = ("*=proxy",)
# Each answers without going anywhere: what was asked for is all that matters.
SCRIPTS: dict[str, Script] = {
    "socks5h": [READ_GREETING, Send(b"\x05\0"), READ_REQUEST, Send(socks5_reply(0)), CLOSE],
    "socks4a": [READ_SOCKS4, Send(socks4_reply(90)), CLOSE],
    "http": [READ_HTTP, Send(http_reply(200)), CLOSE],
}
Address = namedtuple("Address", "host port")


class Port(IntEnum):
    HTTP = 80


class Text(str):
    """A string of a client's own making."""


def asked(scheme: str, address: Any, family: int = socket.AF_INET) -> tuple[tuple[str, int] | None, Any]:
    """What the proxy is asked for, and getpeername() then, when a client connects to `address`."""
    with (
        BadProxy(SCRIPTS[scheme]) as proxy,
        routed(proxy.url(scheme), routes=ANYWHERE),
        socket.socket(family) as sock,
    ):
        sock.connect(address)
        return proxy.sessions[0].target, sock.getpeername()


LONGEST = ".".join(["a" * 63] * 3 + ["b" * 63])
NAMES = {
    "name.example": "name.example",
    "UPPER.Example": "UPPER.Example",
    "trailing.dot.": "trailing.dot.",
    "under_score.example": "under_score.example",
    "bücher.example": "xn--bcher-kva.example",
    LONGEST: LONGEST,
}


@pytest.mark.parametrize("scheme", SCRIPTS)
@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_left_to_the_proxy(scheme: str, name: str) -> None:
    target, peer = asked(scheme, (name, 80))
    assert target == (NAMES[name], 80)
    assert peer[0].startswith(("198.18.", "198.19."))
    assert peer[1] == 80


@pytest.mark.parametrize("convert", [Text, str.encode, lambda name: bytearray(name.encode())])
def test_a_name_may_be_of_any_type_that_the_stdlib_takes(convert: Callable[[str], Any]) -> None:
    target, _ = asked("socks5h", (convert("name.example"), 80))
    assert target == ("name.example", 80)


@pytest.mark.parametrize(
    "address",
    [Address("203.0.113.5", 80), ("203.0.113.5", Port.HTTP), (Text("203.0.113.5"), 80), (b"203.0.113.5", 80)],
    ids=repr,
)
def test_an_address_may_be_of_any_type_that_the_stdlib_takes(address: Any) -> None:
    assert asked("socks5h", address) == (("203.0.113.5", 80), ("203.0.113.5", 80))


NUMERIC = {
    "127.1": "127.0.0.1",
    "0x7f.1": "127.0.0.1",
    "2130706433": "127.0.0.1",
    "0177.0.0.1": "127.0.0.1",
    "203.0.113.5": "203.0.113.5",
    "1\N{FULLWIDTH DIGIT ZERO}.0.0.1": "10.0.0.1",
}


@pytest.mark.parametrize("written", NUMERIC)
def test_a_number_is_read_as_the_stdlib_reads_it(written: str) -> None:
    assert asked("socks5h", (written, 80)) == ((NUMERIC[written], 80), (NUMERIC[written], 80))


NUMERIC6 = {
    ("2001:db8::1", 80): ("2001:db8::1", ("2001:db8::1", 80, 0, 0)),
    ("2001:DB8:0::1", 80, 0): ("2001:db8::1", ("2001:db8::1", 80, 0, 0)),
    ("::ffff:203.0.113.5", 80, 0, 0): ("203.0.113.5", ("::ffff:203.0.113.5", 80, 0, 0)),
    ("2001:db8::1", 80, 7, 0): ("2001:db8::1", ("2001:db8::1", 80, 7, 0)),
}


@pytest.mark.parametrize("address", NUMERIC6)
def test_an_ipv6_address_is_asked_for(address: Any) -> None:
    host, peer = NUMERIC6[address]
    assert asked("socks5h", address, socket.AF_INET6) == ((host, 80), peer)


def test_an_ipv6_socket_has_a_peer_of_its_own_family_for_a_name() -> None:
    target, peer = asked("socks5h", ("name.example", 80), socket.AF_INET6)
    assert target == ("name.example", 80)
    assert peer[0].startswith("100::")
    assert peer[1:] == (80, 0, 0)


BAD: list[tuple[int, Any]] = [
    *((socket.AF_INET, bad) for bad in [None, 5, "name", b"name", [], (), ("h",), ["127.0.0.1", 80], ("h", 80, 0)]),
    *((socket.AF_INET, ("127.0.0.1", port)) for port in [-1, 65536, 1 << 70, "80", b"80", None, 80.0, 1e9]),
    *((socket.AF_INET, (host, 80)) for host in [None, 5, "a\0b", b"a\0b", "a\0é", memoryview(b"h"), ("h",)]),
    # No such names: the resolver is not asked for them.
    *((socket.AF_INET, (host, 80)) for host in ["\udcff", "é" * 64, "é..example", "é" * 300]),
    *((socket.AF_INET, (host, 80)) for host in ["::1", "2001:db8::1", ":::", "a:b"]),
    *((socket.AF_INET, (host, 80)) for host in ["a" * 256, "a." * 200]),
    (socket.AF_INET6, ("::1", 80, 1 << 20)),
    (socket.AF_INET6, ("::1", 80, -1)),
    (socket.AF_INET6, ("::1", 80, "0")),
    (socket.AF_INET6, ("::1", 80, 0, None)),
    (socket.AF_INET6, ("::1", 80, 0, 0, 0)),
    (socket.AF_INET6, ("127.0.0.1", 80)),
    (socket.AF_INET6, ("::1", 80, 0.0)),
]


def outcome(call: Callable[[], object]) -> tuple[type, object, str]:
    try:
        return type(None), call(), ""
    except Exception as error:
        return type(error), getattr(error, "errno", None), str(error)


@pytest.mark.parametrize("method", ["connect", "connect_ex"])
@pytest.mark.parametrize("scheme", SCRIPTS)
def test_a_bad_address_raises_what_the_stdlib_raises(method: str, scheme: str) -> None:
    def outcomes() -> Iterator[object]:
        for family, address in BAD:
            with socket.socket(family) as sock:
                yield address, outcome(lambda: getattr(sock, method)(address))  # noqa: B023

    native = list(outcomes())
    with BadProxy(SCRIPTS[scheme]) as proxy:
        with routed(proxy.url(scheme), routes=ANYWHERE):
            assert list(outcomes()) == native
        assert not proxy.sessions


def test_a_name_that_http_cannot_carry_is_one_that_nobody_has() -> None:
    with BadProxy(SCRIPTS["http"]) as proxy:
        with routed(proxy.url("http"), routes=ANYWHERE), socket.socket() as sock:
            with pytest.raises(socket.gaierror) as caught:
                sock.connect(("ex ample\r\nHost: other", 80))
            assert caught.value.errno == socket.EAI_NONAME
        assert not proxy.sessions


def test_a_port_that_equals_a_known_one_is_still_a_bad_one() -> None:
    with BadProxy(SCRIPTS["socks5h"]) as proxy, routed(proxy.url(), routes=ANYWHERE):
        with socket.socket() as sock:
            sock.connect(("203.0.113.5", 80))
        with socket.socket() as sock, pytest.raises(TypeError):
            sock.connect(("203.0.113.5", 80.0))


def test_a_fake_address_that_nobody_knows_is_refused() -> None:
    with BadProxy(SCRIPTS["socks5h"]) as proxy:
        with routed(proxy.url(), routes=ANYWHERE), socket.socket() as sock, pytest.raises(PermissionError):
            sock.connect(("198.19.200.200", 80))
        assert not proxy.sessions


def test_a_fake_address_stands_for_its_name() -> None:
    with BadProxy(SCRIPTS["socks5h"]) as proxy, routed(proxy.url(), routes=ANYWHERE):
        with socket.socket() as sock:
            sock.connect(("once.example", 80))
            peer = sock.getpeername()
        with socket.socket() as sock:
            sock.connect((peer[0], 443))
            assert sock.getpeername() == (peer[0], 443)
        assert [session.target for session in proxy.sessions] == [("once.example", 80), ("once.example", 443)]


def test_a_name_is_resolved_here_where_the_scheme_says_so(echo_server: Target) -> None:
    with BadProxy(SCRIPTS["socks5h"]) as proxy, routed(proxy.url("socks5")), socket.socket() as sock:
        sock.connect(("localhost", echo_server.port))
        assert proxy.sessions[0].target == echo_server.address
        assert sock.getpeername() == echo_server.address


def test_a_name_that_cannot_be_resolved_here_is_a_gaierror() -> None:
    with BadProxy(SCRIPTS["socks5h"]) as proxy:
        with routed(proxy.url("socks5"), routes=ANYWHERE), socket.socket() as sock:
            with pytest.raises(socket.gaierror):
                sock.connect(("no-such-name.invalid", 80))
            with pytest.raises(socket.gaierror):
                sock.connect_ex(("no-such-name.invalid", 80))
        assert not proxy.sessions
