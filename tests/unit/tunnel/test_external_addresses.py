from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from socksify.config.proxy_url import Proxy
from socksify.config.rules import Rule
from socksify.protocol.address import Address
from socksify.routing.route import Via
from socksify.tunnel import external_addresses
from socksify.tunnel.registry import registry
from socksify.tunnel.state import Tunnel

PROXY = Proxy("socks4", "gw.example", 1080)
OWN = "192.0.2.1"


@pytest.fixture
def tunnel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tunnel]:
    monkeypatch.setattr(registry.external_addresses, "_latest", {})
    known = registry.proxy_addresses._resolved
    monkeypatch.setitem(known, ("gw.example", 1080), [(socket.AF_INET, (OWN, 1080), False)])
    yield Tunnel(Via((PROXY,), Address.of("203.0.113.5", 21), ("203.0.113.5", 21), Rule("*=proxy", "", "proxy")))


def test_what_is_known_best_comes_first(tunnel: Tunnel) -> None:
    """The proxy's own address, then where the latest BIND listened, then BND.ADDR."""
    assert registry.external_addresses.host(tunnel) == OWN
    registry.external_addresses.listens((PROXY,), "198.51.100.1", [])
    assert registry.external_addresses.host(tunnel) == "198.51.100.1"
    tunnel.bound = ("198.51.100.2", 4000)
    assert registry.external_addresses.host(tunnel) == "198.51.100.2"


def test_a_bind_on_its_behalf_has_the_last_word(tunnel: Tunnel) -> None:
    tunnel.bound = ("198.51.100.2", 4000)
    registry.external_addresses.listens((PROXY,), "198.51.100.3", [tunnel])
    assert tunnel.bound == ("198.51.100.3", 4000)


def test_but_not_in_another_family(tunnel: Tunnel) -> None:
    tunnel.bound = ("198.51.100.2", 4000)
    registry.external_addresses.listens((PROXY,), "2001:db8::3", [tunnel])
    assert tunnel.bound == ("198.51.100.2", 4000)


def test_few_chains_are_remembered_and_no_password(tunnel: Tunnel) -> None:
    """The latest ones; another user of the same proxies is told the same."""
    known = registry.external_addresses
    for number in range(1000):
        known.listens((Proxy("socks5", "gw.example", 1 + number, user=b"user", password=b"secret"),), OWN, [])
    assert len(known._latest) == 256
    assert "secret" not in repr(known._latest)
    known.listens((Proxy("socks4", "gw.example", 1080, user=b"somebody"),), "198.51.100.4", [])
    assert known.host(tunnel) == "198.51.100.4"


def test_what_belongs_to_an_installation_is_forgotten_with_it(tunnel: Tunnel) -> None:
    """Not the connections themselves."""
    with socket.socket() as sock:
        registry.add(sock, tunnel)
        registry.external_addresses.listens((PROXY,), "198.51.100.1", [])
        registry.epoll_masks.note(8, 3, 1)
        registry.clear()
        assert registry.external_addresses.host(tunnel) == ""
        assert registry.epoll_masks.registrations == {}
        assert registry.find(sock) is tunnel
        registry.drop(sock.fileno(), tunnel)


def test_who_is_known_by_an_address(tunnel: Tunnel) -> None:
    with socket.socket() as sock:
        registry.add(sock, tunnel)
        assert registry.known_at(OWN) == [tunnel]
        assert registry.known_at("198.51.100.9") == []
        tunnel.error = OSError()
        assert registry.known_at(OWN) == []
        registry.drop(sock.fileno(), tunnel)


@pytest.mark.parametrize(
    ("family", "host", "sockaddr"),
    [
        (socket.AF_INET, "198.51.100.1", ("198.51.100.1", 7)),
        (socket.AF_INET, "2001:db8::1", ("0.0.0.0", 7)),
        (socket.AF_INET, "", ("0.0.0.0", 7)),
        (socket.AF_INET6, "198.51.100.1", ("::ffff:198.51.100.1", 7, 0, 0)),
        (socket.AF_INET6, "2001:db8::1", ("2001:db8::1", 7, 0, 0)),
        (socket.AF_INET6, "", ("::", 7, 0, 0)),
    ],
)
def test_an_address_in_a_sockets_family(family: int, host: str, sockaddr: tuple[object, ...]) -> None:
    assert external_addresses.sockaddr(family, host, 7) == sockaddr
