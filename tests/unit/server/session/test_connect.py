"""CONNECT and the rules: they are asked about every address of a name, and only permitted addresses are tried."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from socksify.server.net import resolver
from socksify.server.policy.policy import Demand, Denied, Permitted, Policy
from tests.support.streams import receive
from tests.support.targets import Target
from tests.unit.server import client
from tests.unit.server.running import Running, run


class Picky(Policy):
    """Decides by addresses, not by names. It permits 127.0.0.1, from the source address 127.0.0.8."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str | None, str | None, int]] = []

    def decide(self, demand: Demand) -> Permitted | Denied | None:
        self.asked.append((demand.name, demand.address, demand.port))
        if demand.name == "forbidden.example":
            return Denied("rule 1")
        if demand.address is None:
            return None
        if demand.address == "127.0.0.1":
            return Permitted("rule 2", source="127.0.0.8", reserved=True)
        return Denied("rule 3")


@pytest.fixture
def picky() -> Iterator[Running]:
    yield from run(Picky())


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        yield listener


def resolves_to(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    def look_up(name: object) -> list[tuple[int, tuple[str, int]]]:
        return [(socket.AF_INET6 if ":" in host else socket.AF_INET, (host, name.port)) for host in hosts]  # type: ignore[attr-defined]

    monkeypatch.setattr(resolver, "look_up", look_up)


def test_a_forbidden_name_is_not_even_looked_up(picky: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "look_up", lambda _: pytest.fail("looked up"))
    stream = picky.connect()
    assert client.ask(stream, 5, "forbidden.example", 80) == 2
    stream.close()
    report = picky.report()
    assert (report.outcome, report.detail) == ("denied", "rule 1")


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize(
    "spelling",
    ["\uff46orbidden.example", "forbidden\u3002example", "for\u00adbidden.example", "\ufb00orbidden"],
)
def test_no_spelling_gets_round_a_rule_on_names(
    spelling: str, version: int, picky: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some resolvers convert UTF-8, full-width letters and even meaningless bytes to ASCII."""
    looked_up: list[str] = []

    def look_up(name: Any) -> list[str]:
        looked_up.append(name.host)
        return []

    monkeypatch.setattr(resolver, "look_up", look_up)
    stream = picky.connect()
    told = ask_in_utf8(stream, version, spelling)
    if spelling == "\ufb00orbidden":
        assert (told, looked_up) == (4 if version == 5 else 91, ["fforbidden"])
    else:
        assert (told, looked_up) == (2 if version == 5 else 91, [])


def ask_in_utf8(stream: socket.socket, version: int, name: str) -> int:
    wire = name.encode()
    if version == 4:
        stream.sendall(b"\x04\x01\0\x50\0\0\0\1\0" + wire + b"\0")
        return client.reply4(stream)
    stream.sendall(client.GREETING + b"\x05\x01\0\x03" + bytes([len(wire)]) + wire + b"\0\x50")
    assert receive(stream, 2) == b"\x05\x00"
    return client.reply5(stream)[0]


def test_a_name_does_not_get_round_a_rule_on_addresses(picky: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    resolves_to(monkeypatch, "127.0.0.2", "::1")
    stream = picky.connect()
    assert client.ask(stream, 5, "rebound.example", 80) == 2
    stream.close()
    assert picky.report().detail == "rule 3"
    assert isinstance(picky.policy, Picky)
    name = "rebound.example"
    assert picky.policy.asked == [(name, None, 80), (name, "127.0.0.2", 80), (name, "::1", 80)]


def test_only_the_permitted_addresses_are_dialled(
    picky: Running, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolves_to(monkeypatch, "127.0.0.2", "127.0.0.1")
    port = listener.getsockname()[1]
    assert client.ask(picky.connect(), 5, "mixed.example", port) == 0
    peer, address = listener.accept()
    peer.close()
    assert address[0] == "127.0.0.8"


@pytest.mark.parametrize("host", ["::ffff:127.0.0.2", "127.0.0.2"])
def test_a_mapped_address_is_no_other(host: str, picky: Running) -> None:
    assert client.ask(picky.connect(), 5, host, 80) == 2
    assert isinstance(picky.policy, Picky)
    assert picky.policy.asked == [(None, "127.0.0.2", 80)]


def test_a_literal_sent_as_a_name_is_asked_about_as_an_address(picky: Running) -> None:
    stream = picky.connect()
    stream.sendall(client.GREETING + b"\x05\x01\x00\x03\x09127.0.0.2\x00\x50")
    assert receive(stream, 2) == b"\x05\x00"
    assert client.reply5(stream)[0] == 2
    assert isinstance(picky.policy, Picky)
    assert picky.policy.asked == [(None, "127.0.0.2", 80)]


def test_a_source_address_that_is_not_ours_fails(picky: Running, listener: socket.socket) -> None:
    picky.policy.decide = lambda _: Permitted(source="192.0.2.1")  # type: ignore[method-assign, assignment]
    assert client.ask(picky.connect(), 5, *listener.getsockname()) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has ports below 1024")
def test_a_reserved_port_is_kept_where_the_rules_allow(picky: Running, listener: socket.socket) -> None:
    with socket.socket() as stream:
        stream.settimeout(10)
        client.bind_reserved(stream)
        stream.connect((picky.server.host, picky.server.port))
        assert client.ask(stream, 5, *listener.getsockname()) == 0
        peer, address = listener.accept()
        peer.close()
    assert address[0] == "127.0.0.8"
    assert 512 <= address[1] < 1024
    assert client.ask(picky.connect(), 5, *listener.getsockname()) == 0
    peer, address = listener.accept()
    peer.close()
    assert address[1] >= 1024


def test_the_rule_is_reported(picky: Running, echo_server: Target) -> None:
    stream = picky.connect()
    assert client.ask(stream, 5, *echo_server.address) == 0
    stream.close()
    assert picky.report().rule == "rule 2"


def test_a_mistake_in_the_rules_does_not_end_the_server(
    picky: Running, echo_server: Target, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(_: object) -> Denied:
        return Denied(str(1 // 0))

    decide, picky.policy.decide = picky.policy.decide, broken  # type: ignore[method-assign, assignment]
    stream = picky.connect()
    stream.sendall(client.GREETING + client.request5(*echo_server.address))
    assert receive(stream, 2) == b"\x05\x00"
    assert stream.recv(1) == b""
    assert picky.report().outcome == "failed"
    picky.policy.decide = decide  # type: ignore[method-assign]
    assert client.ask(picky.connect(), 5, *echo_server.address) == 0
    assert capfd.readouterr().err.count("ZeroDivisionError") == 1
