from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import pytest

from socksify._descriptors import identity
from socksify.config.proxy_url import Proxy
from socksify.config.rules import Rule
from socksify.protocol.address import Address
from socksify.routing.route import Via
from socksify.tunnel.registry import registry
from socksify.tunnel.state import Tunnel

if TYPE_CHECKING:
    from socksify._descriptors import Identity

PROXY = Proxy("socks5", "192.0.2.1", 1080)
# Stands for the connections.
SOMETHING = os.open(os.devnull, os.O_RDONLY)


def tunnel(port: int = 21) -> Tunnel:
    route = Via((PROXY,), Address.of("203.0.113.5", port), ("203.0.113.5", port), Rule("*=proxy", "", "proxy"))
    made = Tunnel(route)
    made.holders[SOMETHING] = None
    made.identities = (cast("Identity", identity(SOMETHING)),)
    return made


@pytest.fixture(autouse=True)
def ports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry.control_connections, "_services", frozenset((21, 514)))
    monkeypatch.setattr(registry.control_connections, "_threads", {})
    yield


def test_connections_to_the_services_are_noted() -> None:
    assert not registry.control_connections.are_there()
    web, ftp, rsh = tunnel(80), tunnel(21), tunnel(514)
    for each in (web, ftp, rsh):
        registry.control_connections.note(each)
    assert registry.control_connections.in_this_thread() == registry.control_connections.anywhere() == [ftp, rsh]
    registry.control_connections.forget(ftp)
    assert registry.control_connections.in_this_thread() == [rsh]


def test_every_connection_is_where_every_service_may_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry.control_connections, "_services", None)
    web = tunnel(80)
    registry.control_connections.note(web)
    assert registry.control_connections.in_this_thread() == [web]


def test_services_that_no_longer_call_are_forgotten() -> None:
    ftp, rsh = tunnel(21), tunnel(514)
    registry.control_connections.note(ftp)
    registry.control_connections.note(rsh)
    registry.control_connections.call_from(frozenset((514,)))
    assert registry.control_connections.anywhere() == [rsh]
    registry.control_connections.call_from(frozenset())
    assert not registry.control_connections.are_there()


def test_each_thread_has_its_own() -> None:
    theirs = tunnel()
    thread = threading.Thread(target=registry.control_connections.note, args=(theirs,))
    thread.start()
    thread.join()
    assert registry.control_connections.in_this_thread() == []
    assert registry.control_connections.anywhere() == [theirs]


def test_one_whose_descriptor_was_closed_behind_our_back_is_gone() -> None:
    with socket.socket() as sock:
        caller = tunnel()
        caller.holders = {sock.fileno(): None}
        caller.identities = (cast("Identity", identity(sock.fileno())),)
        registry.control_connections.note(caller)
        assert registry.control_connections.in_this_thread() == [caller]
    assert registry.control_connections.in_this_thread() == registry.control_connections.anywhere() == []


def test_only_what_is_open_counts() -> None:
    failed = tunnel()
    registry.control_connections.note(failed)
    failed.error = OSError()
    assert registry.control_connections.are_there() and not registry.control_connections.anywhere()


def test_what_nobody_holds_is_forgotten() -> None:
    held = tunnel()
    held.holders.clear()
    registry.control_connections.note(held)
    with socket.socket() as sock:
        registry.add(sock, held)
        registry.drop(sock.fileno(), held)
    assert not registry.control_connections.are_there()
