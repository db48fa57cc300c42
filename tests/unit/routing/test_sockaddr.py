"""The kind of a host: a number, a name, or a name that no host can have."""

from __future__ import annotations

from socket import AF_INET, AF_INET6
from typing import Any

import pytest

from socksify.routing.sockaddr import host_and_port, may_be_name, no_such_name, numeric, port_number


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


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        (80, 80),
        ("80", 80),
        (b"80", 80),
        ("http", 80),
        (b"http", 80),
        (True, 1),
        (None, None),
        (0, None),
        ("", None),
        (65536, None),
        (-1, None),
        (8.5, None),
        ("no-such-service", None),
        ("a\0b", None),
        ("\u0663", None),
    ],
)
def test_what_is_a_port(port: object, expected: int | None) -> None:
    assert port_number(port) == expected


@pytest.mark.parametrize(
    "name", ["a", "a.example.", "_srv._tcp.example", "xn--bcher-kva", "3com.com", "1.2.3.4a", "x" * 63]
)
def test_what_somebody_may_be_called(name: str) -> None:
    assert may_be_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "a..b", ".a", "x" * 64, "a." * 128 + "a", "a b", "bücher", "1.2.3", "a:b", "--"]
)
def test_what_nobody_is_called(name: str) -> None:
    assert not may_be_name(name)


def test_the_error_of_the_resolver_is_made_without_asking_it() -> None:
    assert no_such_name().errno == -2


@pytest.mark.parametrize(
    ("family", "address", "expected"),
    [
        (AF_INET, ("a.example", 80), ("a.example", 80)),
        (AF_INET, (b"a.example", 80), ("a.example", 80)),
        (AF_INET6, ("::1", 80, 0, 5), ("::1", 80)),
        (AF_INET, ("a.example",), None),
        (AF_INET, ("a.example", 80, 0), None),
        (AF_INET6, ("::1", 80, 0, 0, 0), None),
        (AF_INET6, ("::1", 80, 1 << 20), None),
        (AF_INET6, ("::1", 80, -1), None),
        (AF_INET, (5, 80), None),
        (AF_INET, ("a.example", "80"), None),
        (AF_INET, ("a.example", 1 << 16), None),
        (AF_INET, ("a.example", -1), None),
        (AF_INET, ("a\0b", 80), None),
        (AF_INET, ("\u00fc" * 99, 80), None),
    ],
)
def test_hosts_and_ports_as_the_stdlib_takes_them(
    family: int, address: tuple[Any, ...], expected: tuple[str, int] | None
) -> None:
    assert host_and_port(family, address) == expected
