"""Connections to port 53: which ones our own responder answers."""

from __future__ import annotations

from errno import EACCES
from socket import AF_INET, AF_INET6
from typing import Any

import pytest

from socksify.config.loader import load
from socksify.routing import fake_addresses, local_host
from socksify.routing.route import Direct, Via
from socksify.routing.router import Router
from socksify.seal.notices import Notices
from socksify.seal.streams.routes import Routes

RESPONDER = ("127.0.0.1", 5353)


@pytest.fixture(autouse=True)
def name_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_host, "nameservers", lambda: ("198.51.100.53", "127.0.0.53"))


def decide(family: int, address: tuple[Any, ...], *rules: str) -> Direct | Via:
    given = {"proxy": ("socks5h://192.0.2.1:1080",), "routes": rules}
    router = Router(load(given, {}, "/", caller="the test"))
    return Routes(lambda *_: router, RESPONDER, Notices()).decide(1, 1, family, address)[0]


@pytest.mark.parametrize("rules", [(), ("198.51.100.0/24=direct",), ("198.51.100.53=proxy",)])
def test_a_name_server_of_this_machine_is_our_responder(rules: tuple[str, ...]) -> None:
    """A direct one would hear of names that the proxy resolves."""
    assert decide(AF_INET, ("198.51.100.53", 53), *rules) == Direct(None, RESPONDER)
    mapped = Direct(None, ("::ffff:127.0.0.1", 5353, 0, 0))
    assert decide(AF_INET6, ("::ffff:198.51.100.53", 53, 0, 0), *rules) == mapped


def test_a_stub_on_this_machine_is_our_responder() -> None:
    assert decide(AF_INET, ("127.0.0.53", 53)) == Direct(None, RESPONDER)
    assert decide(AF_INET, ("127.0.0.77", 53)) == Direct(None, RESPONDER)


def test_other_servers_and_ports_are_routed() -> None:
    assert isinstance(decide(AF_INET, ("203.0.113.53", 53)), Via)
    assert isinstance(decide(AF_INET, ("198.51.100.53", 853)), Via)
    assert decide(AF_INET, ("203.0.113.53", 53), "203.0.113.0/24=direct").rule is not None
    with pytest.raises(PermissionError) as refused:
        decide(AF_INET, ("203.0.113.53", 53), "203.0.113.0/24=block")
    assert refused.value.errno == EACCES


def test_a_blocked_name_is_told_as_a_name(capfd: pytest.CaptureFixture[str]) -> None:
    fake = fake_addresses.TABLE.address_of("blocked.example")
    with pytest.raises(PermissionError, match=r"connection to blocked\.example:443 not made"):
        decide(AF_INET, (fake, 443), "blocked.example=block")
    assert "blocked.example:443" in capfd.readouterr().err
