"""Addresses in their forms: text, sockaddr and SOCKS."""

from __future__ import annotations

import socket

import pytest

from socksify.protocol.address import NAME, Address
from socksify.server.net.addresses import format_address, host_of, normalize, parse_address, to_sockaddr


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.1", ("192.0.2.1", 5)),
        ("2001:db8::1", ("2001:db8::1", 5)),
        ("fe80::1%lo", ("fe80::1", 5, 0, socket.if_nametoindex("lo"))),
        ("fe80::1%77", ("fe80::1", 5, 0, 77)),
    ],
)
def test_a_zone_is_the_number_of_an_interface(host: str, address: tuple[object, ...]) -> None:
    assert to_sockaddr(host, 5) == address


@pytest.mark.parametrize(
    ("address", "host"),
    [
        (("192.0.2.1", 5), "192.0.2.1"),
        (("2001:db8::1", 5, 0, 0), "2001:db8::1"),
        (("fe80::1", 5, 0, 3), "fe80::1%3"),
    ],
)
def test_the_literal_of_a_sockaddr(address: tuple[object, ...], host: str) -> None:
    assert host_of(address) == host


@pytest.mark.parametrize("zone", ["", "no-such0", "²"])
def test_an_interface_that_there_is_not(zone: str) -> None:
    with pytest.raises(OSError):
        to_sockaddr(f"fe80::1%{zone}", 5)


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("192.0.2.1", "192.0.2.1:80"),
        ("2001:db8::1", "[2001:db8::1]:80"),
        ("example.com", "example.com:80"),
        ("x\ny\x1b[0m", "x\\ny\\x1b[0m:80"),
        ("a: done, 1 bytes", "[a:\\x20done,\\x201\\x20bytes]:80"),
        ("\udcff", "\\udcff:80"),
        ("bücher.example", "b\\xfccher.example:80"),
    ],
)
def test_an_address_as_text(host: str, told: str) -> None:
    assert format_address(host, 80) == told


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1:80", ("192.0.2.1", 80)),
        ("[2001:db8::1]:80", ("2001:db8::1", 80)),
        ("2001:db8::1:80", ("2001:db8::1", 80)),
        ("example.com:65535", ("example.com", 65535)),
    ],
)
def test_an_address_is_read(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "192.0.2.1", ":80", "192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:²", "192.0.2.1:-1"]
)
def test_a_text_that_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="expected ADDRESS:PORT"):
        parse_address(text)


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("www.EXAMPLE.", "www.EXAMPLE."),
        ("bücher.example", "xn--bcher-kva.example"),
        ("\uff11\uff12\uff17\u30020\u30020\u30021", "127.0.0.1"),
        # Latin-1, and an empty label: IDNA has no form of these.
        ("b\udcfccher.example", "b\udcfccher.example"),
        ("ü..example", "\udcc3\udcbc..example"),
    ],
)
def test_a_target_as_rules_know_it(host: str, known: str) -> None:
    wire = host if "\udcfc" in host else host.encode().decode("ascii", "surrogateescape")
    assert normalize(Address(NAME, wire, 80)).host == known
