from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import pytest

from socksify.config.settings import Proxy, Rule
from socksify.descriptors import identity
from socksify.protocol.address import Address
from socksify.tunnel import callers, registry
from socksify.tunnel.route import Via
from socksify.tunnel.tunnel import Tunnel

if TYPE_CHECKING:
    from socksify.descriptors import Identity

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
    monkeypatch.setattr(callers, "ports", frozenset((21, 514)))
    monkeypatch.setattr(callers, "_callers", {})
    yield


def test_connections_to_the_services_are_noted() -> None:
    assert not callers.are_there()
    web, ftp, rsh = tunnel(80), tunnel(21), tunnel(514)
    for each in (web, ftp, rsh):
        callers.note(each)
    assert callers.in_this_thread() == callers.anywhere() == [ftp, rsh]
    callers.forget(ftp)
    assert callers.in_this_thread() == [rsh]


def test_every_connection_is_where_every_service_may_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "ports", None)
    web = tunnel(80)
    callers.note(web)
    assert callers.in_this_thread() == [web]


def test_services_that_no_longer_call_are_forgotten() -> None:
    ftp, rsh = tunnel(21), tunnel(514)
    callers.note(ftp)
    callers.note(rsh)
    callers.call_from(frozenset((514,)))
    assert callers.anywhere() == [rsh]
    callers.call_from(frozenset())
    assert not callers.are_there()


def test_each_thread_has_its_own() -> None:
    theirs = tunnel()
    thread = threading.Thread(target=callers.note, args=(theirs,))
    thread.start()
    thread.join()
    assert callers.in_this_thread() == []
    assert callers.anywhere() == [theirs]


def test_one_whose_descriptor_was_closed_behind_our_back_is_gone() -> None:
    with socket.socket() as sock:
        caller = tunnel()
        caller.holders = {sock.fileno(): None}
        caller.identities = (cast("Identity", identity(sock.fileno())),)
        callers.note(caller)
        assert callers.in_this_thread() == [caller]
    assert callers.in_this_thread() == callers.anywhere() == []


def test_only_what_is_open_counts() -> None:
    failed = tunnel()
    callers.note(failed)
    failed.error = OSError()
    assert callers.are_there() and not callers.anywhere()


def test_what_nobody_holds_is_forgotten() -> None:
    held = tunnel()
    held.holders.clear()
    callers.note(held)
    with socket.socket() as sock:
        registry.add(sock, held)
        registry.drop(sock.fileno(), held)
    assert not callers.are_there()
