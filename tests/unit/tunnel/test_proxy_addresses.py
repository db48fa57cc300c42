"""The first proxy's addresses, in the order in which a socket of some family should try them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from socksify import _originals, _supervision
from socksify.config import proxy_url
from socksify.config.proxy_url import Proxy
from socksify.config.settings import Settings
from socksify.routing import fake_addresses
from socksify.routing.fake_addresses import FakeAddressTable
from socksify.routing.supervised_names import SupervisedNames
from socksify.tunnel import proxy_addresses
from socksify.tunnel.registry import registry
from tests.support.supervision import supervise


def proxy(url: str) -> Proxy:
    return proxy_url.parse_chain(url, "test")[0]


@pytest.fixture(autouse=True)
def looked_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Any, ...]]]:
    """The look-ups that were made, each answered with an IPv6 and an IPv4 address."""
    asked: list[tuple[Any, ...]] = []

    def getaddrinfo(host: str, port: int, *_: Any) -> list[tuple[Any, ...]]:
        asked.append((host, port))
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", port, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port)),
        ]

    monkeypatch.setattr(_originals, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(registry.proxy_addresses, "_resolved", {})
    yield asked


IPV6 = (socket.AF_INET6, ("2001:db8::1", 1080, 0, 0), False)
IPV4 = (socket.AF_INET, ("192.0.2.1", 1080), False)


def test_the_sockets_own_family_comes_first(looked_up: list[tuple[Any, ...]]) -> None:
    gw = proxy("socks5h://gw.example:1080")
    assert registry.proxy_addresses.candidates(gw, socket.AF_INET) == [IPV4, IPV6]
    assert registry.proxy_addresses.candidates(gw, socket.AF_INET6) == [IPV6, IPV4]
    assert looked_up == [(b"gw.example", 1080)]


def test_a_caller_may_use_up_its_candidates() -> None:
    gw = proxy("socks5h://gw.example:1080")
    registry.proxy_addresses.candidates(gw, socket.AF_INET).clear()
    assert registry.proxy_addresses.candidates(gw, socket.AF_INET) == [IPV4, IPV6]


def test_a_proxy_that_was_forgotten_is_looked_up_again(looked_up: list[tuple[Any, ...]]) -> None:
    gw = proxy("socks5h://gw.example:1080")
    registry.proxy_addresses.candidates(gw, socket.AF_INET)
    registry.proxy_addresses.forget(gw)
    registry.proxy_addresses.candidates(gw, socket.AF_INET)
    assert looked_up == [(b"gw.example", 1080)] * 2
    registry.proxy_addresses.forget(proxy("socks5h://other.example:1080"))


@pytest.mark.parametrize(
    ("url", "family", "address"),
    [
        ("socks5h://127.0.0.1:1080", socket.AF_INET, ("127.0.0.1", 1080)),
        ("socks5h://[::1]:1080", socket.AF_INET6, ("::1", 1080, 0, 0)),
        ("socks5h://localhost/run/proxy", socket.AF_UNIX, "/run/proxy"),
    ],
)
def test_a_proxy_on_this_machine(url: str, family: int, address: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert registry.proxy_addresses.candidates(proxy(url), socket.AF_INET) == [(family, address, True)]


def test_the_proxys_own_address_is_told_as_far_as_it_is_known() -> None:
    gw = proxy("socks5h://gw.example:1080")
    assert registry.proxy_addresses.own_address(gw) == ""
    registry.proxy_addresses.candidates(gw, socket.AF_INET)
    assert registry.proxy_addresses.own_address(gw) == "2001:db8::1"
    assert registry.proxy_addresses.own_address(proxy("socks5h://localhost/run/proxy")) == ""


def test_a_mapped_address() -> None:
    assert proxy_addresses.mapped(("192.0.2.1", 1080)) == ("::ffff:192.0.2.1", 1080)


def test_the_supervisor_of_a_seal_is_told_the_addresses_of_a_name(
    monkeypatch: pytest.MonkeyPatch, looked_up: list[tuple[Any, ...]]
) -> None:
    supervisor = supervise(monkeypatch, Settings(proxy=(proxy("socks5h://192.0.2.99:1080"),)))
    table = FakeAddressTable()
    monkeypatch.setattr(fake_addresses, "TABLE", table)
    registry.proxy_addresses.candidates(proxy("socks5h://gw.example:1080"), socket.AF_INET)
    assert supervisor.questions == []
    table.configure(table.networks, SupervisedNames())
    registry.proxy_addresses.candidates(proxy("socks5h://gw.example:1081"), socket.AF_INET)
    registry.proxy_addresses.candidates(proxy("socks5h://gw.example:1081"), socket.AF_INET6)
    assert supervisor.questions.count(_supervision.FIRST_HOP) == 2
    for literal in ("192.0.2.1", "2001:db8::1"):
        assert supervisor.scopes.base.is_first_hop(literal, 1081)
        assert not supervisor.scopes.base.is_first_hop(literal, 1080)
    registry.proxy_addresses.candidates(proxy("socks5h://192.0.2.1:1082"), socket.AF_INET)
    assert not supervisor.scopes.base.is_first_hop("192.0.2.1", 1082)
    assert len(looked_up) == 3


def test_without_the_supervisor_of_a_seal_the_addresses_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor = supervise(monkeypatch, Settings(proxy=()))
    supervisor.is_alive = False
    table = FakeAddressTable()
    table.configure(table.networks, SupervisedNames())
    monkeypatch.setattr(fake_addresses, "TABLE", table)
    assert registry.proxy_addresses.candidates(proxy("socks5h://gw.example:1080"), socket.AF_INET) == [IPV4, IPV6]
