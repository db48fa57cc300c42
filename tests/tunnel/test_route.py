"""Which way a connection takes, by address, rule and scheme."""

from __future__ import annotations

import socket
from collections import namedtuple
from typing import Any

import pytest

from socksify import config
from socksify.tunnel import machine
from socksify.tunnel import route as routing
from socksify.tunnel.route import Denied, Direct, Router, Via
from socksify.tunnel.sockaddr import numeric

V4, V6 = socket.AF_INET, socket.AF_INET6
Address = namedtuple("Address", "host port")


def router(*routes: str, proxy: str = "socks5h://192.0.2.1:1080", **settings: Any) -> Router:
    return Router(config.load({"proxy": proxy, "routes": list(routes), **settings}, {}, "/nonexistent"))


@pytest.mark.parametrize(
    ("family", "address", "expected"),
    [
        (V4, ("203.0.113.5", 80), Via),
        (V4, Address("203.0.113.5", 80), Via),
        (V4, ("name.example", 80), Via),
        (V6, ("2001:db8::1", 80, 0, 0), Via),
        (V6, ("::ffff:203.0.113.5", 80), Via),
        (V4, ("127.0.0.1", 80), Direct),
        (V4, ("127.1", 80), Direct),
        (V4, ("localhost", 80), Direct),
        (V4, ("sub.localhost", 80), Direct),
        (V4, ("LOCALHOST.", 80), Direct),
        (V4, ("", 80), Direct),
        (V4, ("0.0.0.0", 80), Direct),
        (V6, ("::1", 80), Direct),
        (V6, ("::", 80), Direct),
        (V6, ("::ffff:127.0.0.1", 80), Direct),
        (V4, ("192.0.2.1", 1080), Direct),
        (V4, ("192.0.2.1", 1081), Via),
        (V6, ("::ffff:192.0.2.1", 1080), Direct),
        (socket.AF_UNIX, "/a/path", Direct),
        (V4, ["203.0.113.5", 80], Direct),
        (V4, "203.0.113.5", Direct),
        (V4, None, Direct),
        (V4, ("198.18.7.7", 80), Denied),
        (V6, ("::ffff:198.19.7.7", 80), Denied),
    ],
    ids=repr,
)
def test_what_no_rule_speaks_of(family: int, address: Any, expected: type) -> None:
    subject = router()
    assert type(subject.decide(family, address)) is expected
    assert type(subject.decide(family, address)) is expected


def test_the_first_rule_that_matches_decides() -> None:
    subject = router("10.1.0.0/16=block", "10.0.0.0/8=direct", "*.corp.example:443=direct", ":25=block")
    assert isinstance(subject.decide(V4, ("10.1.2.3", 80)), Denied)
    assert isinstance(subject.decide(V4, ("10.2.2.3", 25)), Direct)
    assert isinstance(subject.decide(V6, ("::ffff:10.1.2.3", 80)), Denied)
    assert isinstance(subject.decide(V4, ("www.corp.example", 443)), Direct)
    assert isinstance(subject.decide(V4, ("www.corp.example", 80)), Via)
    assert isinstance(subject.decide(V4, ("203.0.113.5", 25)), Denied)
    denied = subject.decide(V4, ("10.1.2.3", 80))
    assert isinstance(denied, Denied)
    assert "10.1.0.0/16=block" in denied.why


def test_a_name_in_other_letters_meets_its_rule() -> None:
    subject = router("*.bücher.example=block", "10.0.0.0/8=block")
    assert isinstance(subject.decide(V4, ("www.bücher.example", 80)), Denied)
    assert isinstance(subject.decide(V4, ("www.xn--bcher-kva.example", 80)), Denied)
    assert isinstance(subject.decide(V4, (b"www.xn--bcher-kva.example", 80)), Denied)
    assert isinstance(subject.decide(V4, ("1\N{FULLWIDTH DIGIT ZERO}.0.0.1", 80)), Denied)


def test_an_address_of_the_machines_own_is_reached_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(machine, "is_own", lambda ip: asked.append(ip) or ip == "203.0.113.5")
    subject = router("203.0.113.5:25=proxy")
    for _ in range(3):
        assert isinstance(subject.decide(V4, ("203.0.113.5", 80)), Direct)
        assert isinstance(subject.decide(V4, ("203.0.113.5", 25)), Via)
        assert isinstance(subject.decide(V4, ("203.0.113.6", 80)), Via)
    assert asked == ["203.0.113.5", "203.0.113.6"]


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Router, "_MEMORY", 8)
    subject = router()
    for port in range(1, 100):
        assert isinstance(subject.decide(V4, ("203.0.113.5", port)), Via)
        assert isinstance(subject.decide(V4, (f"203.0.113.{port}", 80)), Via)
    assert len(subject._known) <= 8
    assert len(subject._own) <= 8


@pytest.mark.parametrize(
    ("scheme", "dns", "kind"),
    [
        ("socks5h", "auto", 3),
        ("socks4a", "auto", 3),
        ("http", "auto", 3),
        ("socks5", "auto", 1),
        ("socks4", "auto", 1),
        ("socks5h", "local", 1),
        ("socks5", "remote", 3),
    ],
)
def test_who_resolves_a_name(monkeypatch: pytest.MonkeyPatch, scheme: str, dns: str, kind: int) -> None:
    answer = [(V4, socket.SOCK_STREAM, 6, "", ("203.0.113.5", 80))]
    monkeypatch.setattr(routing._real, "getaddrinfo", lambda *_, **__: answer)
    found = router(proxy=f"{scheme}://192.0.2.1:1080", dns=dns).decide(V4, ("name.example", 80))
    assert isinstance(found, Via)
    assert (found.target.type, found.target.host) == (kind, "name.example" if kind == 3 else "203.0.113.5")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("1.2.3.4 x", None),
        ("1.2.3.4\n", None),
        ("1.2.3.256", None),
        ("fe80::1%eth0", "fe80::1"),
        ("::FFFF:1.2.3.4", "1.2.3.4"),
        ("a::b::c", None),
        ("a.example", None),
        ("1e100.net", None),
        ("1.example.c", None),
        ("<broadcast>", "255.255.255.255"),
        ("", "0.0.0.0"),
    ],
)
def test_what_is_a_number(host: str, expected: str | None) -> None:
    assert numeric(host) == expected
