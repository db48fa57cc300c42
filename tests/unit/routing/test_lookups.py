"""The answers that need no question to a name server, and the names that need one."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from socksify import config
from socksify.routing import fake_addresses, local_host
from socksify.routing import lookups as subject
from socksify.routing.lookups import Lookups
from socksify.routing.router import Router


def lookups(*routes: str, **settings: Any) -> Lookups:
    given = {"proxy": "socks5h://192.0.2.1:1080", "routes": list(routes), **settings}
    return Lookups(Router(config.load(given, {}, "/nonexistent")))


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("name.example", "name.example"),
        (b"name.example", "name.example"),
        ("Name.Example.", "Name.Example"),
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        (b"name.example\0.lan", "name.example"),
    ],
)
def test_a_name_for_the_proxy_is_its_fake_address(host: str | bytes, name: str) -> None:
    found = lookups("*.lan=direct")
    assert found.forward(host) == (name, (), (fake_addresses.TABLE.address_of(name),))
    assert found.forward(host, 80, socket.AF_INET6) == (
        name,
        (),
        (fake_addresses.TABLE.address_of(name, socket.AF_INET6),),
    )


@pytest.mark.parametrize("host", ["127.1", "0x7f.1", "::1", "fe80::1%lo", "203.0.113.5", b"203.0.113.5"])
def test_a_number_is_itself(host: str | bytes) -> None:
    text = host if isinstance(host, str) else host.decode()
    assert lookups().forward(host) == (text, (), (text,))


@pytest.mark.parametrize(
    ("host", "port"), [("a.lan", None), ("A.LAN.", 80), ("ssh.example", 22), ("ssh.example", "ssh")]
)
def test_what_is_direct_is_asked_for(host: str, port: object) -> None:
    assert lookups("*.lan=direct", "ssh.example:22=direct").forward(host, port) is None


def test_everything_is_asked_for_where_names_are_resolved_here() -> None:
    assert lookups(dns="local").forward("name.example") is None


@pytest.mark.parametrize("host", ["", "a b", b"a..b", "1.2.3.4.5", "x_y:z", b"\xff", "."[:0] + "-"])
def test_nobodys_name(host: str | bytes) -> None:
    with pytest.raises(socket.gaierror):
        lookups().forward(host)


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example"])
def test_what_idna_refuses(host: str) -> None:
    with pytest.raises(UnicodeError):
        lookups().forward(host)


def test_localhost_is_this_machine_whatever_the_rules_say() -> None:
    found = lookups("localhost=proxy", "*=proxy").forward("any.LocalHost.")
    assert found is not None
    assert "127.0.0.1" in found[2]


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Lookups, "_MEMORY", 8)
    found = lookups()
    for number in range(100):
        found.forward(f"{number}.example")
    assert len(found._known) <= 8


def test_a_name_is_looked_at_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    found = lookups()
    assert found.forward("soon-own.example") is not None
    monkeypatch.setattr(local_host, "own_addresses", lambda _: ("192.0.2.55",))
    monkeypatch.setattr(subject, "monotonic", lambda: 1e12)
    assert found.forward("soon-own.example") == ("soon-own.example", (), ("192.0.2.55",))


def test_whose_an_address_is() -> None:
    found = lookups("10.0.0.0/8=direct")
    fake = fake_addresses.TABLE.address_of("whose.example")
    assert found.reverse(fake) == ("whose.example", [])
    assert not found.may_ask(fake)
    assert found.reverse("203.0.113.5") is None
    assert not found.may_ask("203.0.113.5")
    assert found.may_ask("10.1.2.3")
    assert found.reverse("198.19.200.200") is None
    assert not found.may_ask("198.19.200.200")


@pytest.mark.parametrize(
    ("family", "address", "expected"),
    [
        (socket.AF_INET, ("127.0.0.1", 0), ("127.0.0.1", 0)),
        (socket.AF_INET, ("", 0), ("", 0)),
        (socket.AF_INET, ("<broadcast>", 0), ("<broadcast>", 0)),
        (socket.AF_INET, ("sub.localhost", 0), ("127.0.0.1", 0)),
        (socket.AF_INET, ("a.lan", 0), ("a.lan", 0)),
        (socket.AF_INET, "malformed", "malformed"),
        (socket.AF_INET, ("a", "b"), ("a", "b")),
        (socket.AF_UNIX, "/a/path", "/a/path"),
    ],
)
def test_a_name_to_bind_to(family: int, address: object, expected: object) -> None:
    assert lookups("*.lan=direct").bindable(family, address) == expected


def test_a_fake_address_to_bind_to_is_nobodys_here() -> None:
    with socket.socket() as sock, pytest.raises(OSError, match="assign"):
        sock.bind(lookups().bindable(socket.AF_INET, ("name.example", 0)))


def test_a_bad_name_to_bind_to_is_left_to_the_standard_library() -> None:
    found = lookups()
    for address in (("a" * 64 + "\u00fc.example", 0), ("a" * 64 + ".example", 0), "path", ("name.example",)):
        assert found.bindable(socket.AF_INET, address) is address
    assert found.bindable(socket.AF_UNIX, ("name.example", 0)) == ("name.example", 0)
    assert found.bindable(socket.AF_INET, ("127.0.0.1", 0)) == ("127.0.0.1", 0)
    assert found.bindable(socket.AF_INET, ("localhost", 7)) == ("127.0.0.1", 7)


@pytest.mark.parametrize(
    ("host", "may"),
    [("192.0.2.1", True), (b"192.0.2.1", True), ("name.example", False), ("here.lan", True), ("name.example.", False)],
)
def test_the_resolver_is_asked_for_what_no_proxy_resolves(host: str | bytes, may: bool) -> None:
    assert lookups("*.lan=direct").may_ask_for(host, 80) is may


def test_a_fake_address_that_stands_for_nothing_is_explained() -> None:
    found = lookups()
    fake = fake_addresses.TABLE.address_of("name.example")
    other = next(address for address in ("198.18.7.7", "198.19.9.9") if fake_addresses.TABLE.name_of(address) is None)
    assert found.unknown_fake("192.0.2.1") is None
    assert "stands for no name" in str(found.unknown_fake(other))
    assert found.reverse(fake) == ("name.example", [])
    assert not found.may_ask(other)


def test_a_name_of_this_machine_without_an_address_of_the_family_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_host, "addresses_here", lambda name: ("127.0.0.1",) if name == "here" else None)
    assert lookups().forward("here", None, socket.AF_UNSPEC) == ("here", (), ("127.0.0.1",))
    assert lookups().forward("here", None, socket.AF_INET) == ("here", (), ("127.0.0.1",))
    with pytest.raises(socket.gaierror):
        lookups().forward("here", None, socket.AF_INET6)
    mapped = lookups().forward("here", None, socket.AF_INET6, socket.AI_V4MAPPED)
    assert mapped == ("here", (), ("127.0.0.1",))


def test_an_entry_of_the_hosts_file_answers_for_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = ("one.example", ["one"])
    monkeypatch.setattr(local_host, "hosts_entry", lambda address: entry if address == "192.0.2.5" else None)
    assert lookups().reverse("192.0.2.5") == entry
    assert lookups().reverse("192.0.2.6") is None


def test_bytes_that_are_no_name_are_refused_before_bind() -> None:
    with pytest.raises(socket.gaierror):
        lookups().bindable(socket.AF_INET, (b"\xff.example", 0))
