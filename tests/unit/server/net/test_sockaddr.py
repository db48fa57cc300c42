"""A zone is an interface's number."""

from __future__ import annotations

import socket

import pytest

from socksify.server.net.addresses import sockaddr, spelled


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.1", ("192.0.2.1", 5)),
        ("2001:db8::1", ("2001:db8::1", 5)),
        ("fe80::1%lo", ("fe80::1", 5, 0, socket.if_nametoindex("lo"))),
        ("fe80::1%77", ("fe80::1", 5, 0, 77)),
    ],
)
def test_addresses(host: str, address: tuple[object, ...]) -> None:
    assert sockaddr(host, 5) == address


@pytest.mark.parametrize(
    ("address", "host"),
    [
        (("192.0.2.1", 5), "192.0.2.1"),
        (("2001:db8::1", 5, 0, 0), "2001:db8::1"),
        (("fe80::1", 5, 0, 3), "fe80::1%3"),
    ],
)
def test_literals(address: tuple[object, ...], host: str) -> None:
    assert spelled(address) == host


@pytest.mark.parametrize("zone", ["", "no-such0", "²"])
def test_an_interface_that_there_is_not(zone: str) -> None:
    with pytest.raises(OSError):
        sockaddr(f"fe80::1%{zone}", 5)
