"""The route of a datagram: that of a connection, but for what the setting `udp` allows."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from socksify import _originals, config
from socksify.routing import router
from socksify.routing.fake_addresses import TABLE
from socksify.routing.route import Blocked, Direct, Via
from socksify.routing.router import Router
from socksify.tunnel import datagrams

LITERALS = {socket.AF_INET: ("203.0.113.5", 53), socket.AF_INET6: ("2001:db8::5", 53, 0, 0)}
MAPPED = ("::ffff:203.0.113.5", 53, 0, 0)
NAME = "name.example"


def router_of(**settings: Any) -> Router:
    return Router(config.load({"proxy": ["socks5h://192.0.2.1:1080"], **settings}, {}, "/nonexistent"))


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that were looked up; each is 198.51.100.7."""
    asked: list[str] = []

    def resolve(_: int, name: str, port: int) -> tuple[str, int]:
        asked.append(name)
        return ("198.51.100.7", port)

    monkeypatch.setattr(router, "resolve", resolve)
    monkeypatch.setattr(datagrams, "resolve", resolve)
    return asked


@pytest.mark.parametrize("family", LITERALS)
@pytest.mark.parametrize(("udp", "kind"), [("block", Via), ("direct", Direct)])
def test_the_setting_decides_what_a_rule_leaves_to_a_proxy(family: int, udp: str, kind: type) -> None:
    route = datagrams.decide(router_of(udp=udp), family, LITERALS[socket.AddressFamily(family)])
    assert isinstance(route, kind)
    assert getattr(route, "address", None) is None


@pytest.mark.parametrize(("udp", "kind"), [("block", Via), ("direct", Direct)])
def test_a_mapped_address_is_no_way_round(udp: str, kind: type) -> None:
    assert isinstance(datagrams.decide(router_of(udp=udp), socket.AF_INET6, MAPPED), kind)


@pytest.mark.parametrize("udp", ["block", "direct"])
def test_rules_hold_whatever_the_setting(udp: str) -> None:
    routes = ["203.0.113.0/24=block", "198.51.100.0/24=direct"]
    decided = router_of(udp=udp, routes=routes)
    assert isinstance(datagrams.decide(decided, socket.AF_INET, ("203.0.113.5", 53)), Blocked)
    assert isinstance(datagrams.decide(decided, socket.AF_INET, ("198.51.100.5", 53)), Direct)


def test_a_name_is_not_resolved(resolved: list[str]) -> None:
    assert isinstance(datagrams.decide(router_of(), socket.AF_INET, (NAME, 53)), Via)
    assert resolved == []


def test_a_name_is_resolved_where_the_setting_allows_it(resolved: list[str]) -> None:
    fake = TABLE.address_of(NAME)
    for host in (NAME, fake):
        route = datagrams.decide(router_of(udp="direct"), socket.AF_INET, (host, 53))
        assert route == Direct(route.rule, ("198.51.100.7", 53))
    assert resolved == [NAME, NAME]


@pytest.mark.parametrize("address", [(), ("203.0.113.5",), ("203.0.113.5", "53"), "203.0.113.5", None])
def test_what_is_no_address_is_the_stdlibs_to_refuse(address: Any) -> None:
    assert datagrams.decide(router_of(), socket.AF_INET, address) == Direct()


# --- stand_in ---


def standing_in(family: int, address: Any, **settings: Any) -> _originals.InternalAddress:
    route = router_of(**settings).decide(family, address)
    assert isinstance(route, (Via, Blocked))
    found = datagrams.connectable_address(family, address, route)
    # By its type strict's audit hook knows that we have found it.
    assert type(found) is _originals.InternalAddress
    return found


@pytest.mark.parametrize(
    "address", [LITERALS[socket.AF_INET6], MAPPED, ("fe80::5%lo", 53), ("fe80::5", 53, 0, 1), ("2001:db8::5", 53)]
)
def test_a_literal_stands_for_itself(address: Any) -> None:
    """With its scope, of which a proxy would know nothing."""
    assert standing_in(socket.AF_INET6, address) == address


@pytest.mark.parametrize("settings", [{}, {"routes": [f"{NAME}=block"]}], ids=["routed", "blocked"])
def test_for_a_name_stands_its_fake_address(settings: dict[str, Any]) -> None:
    assert standing_in(socket.AF_INET, (NAME, 53), **settings) == (TABLE.address_of(NAME), 53)
    host, port = standing_in(socket.AF_INET6, (NAME, 53), **settings)[:2]
    assert (host, port) == (TABLE.address_of(NAME, socket.AF_INET6), 53)


def test_for_a_name_that_is_resolved_here_stands_its_address(resolved: list[str]) -> None:
    assert standing_in(socket.AF_INET, (NAME, 53), dns="local") == ("198.51.100.7", 53)
    assert resolved == [NAME]


# --- is_tcp ---


@pytest.mark.parametrize(
    ("kind", "proto", "wanted"),
    [
        (socket.SOCK_STREAM, 0, True),
        (socket.SOCK_STREAM, socket.IPPROTO_TCP, True),
        (socket.SOCK_STREAM, 262, True),
        (socket.SOCK_STREAM, 132, False),
        (socket.SOCK_SEQPACKET, 132, False),
        (socket.SOCK_DGRAM, 0, False),
    ],
)
def test_streams_of_sctp_are_no_tcp(kind: int, proto: int, wanted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # This kernel may not have them all.
    told = {socket.SO_TYPE: kind, socket.SO_PROTOCOL: proto}
    monkeypatch.setattr(
        _originals, "getsockopt", lambda _, level, name: told[name] if level == socket.SOL_SOCKET else None
    )
    with socket.socket() as sock:
        assert datagrams.is_tcp(sock) is wanted


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_an_object_may_take_its_fd_for_what_it_is_not(kind: int) -> None:
    for declared in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with (
            socket.socket(socket.AF_INET, kind) as real,
            socket.fromfd(real.fileno(), socket.AF_INET, declared) as sock,
        ):
            assert datagrams.is_tcp(sock) is (kind == socket.SOCK_STREAM)


def test_what_is_closed_speaks_nothing() -> None:
    sock = socket.socket()
    sock.close()
    assert not datagrams.is_tcp(sock)
