"""Names and the made-up addresses that stand for them: both ways, bounded, from several threads."""

from __future__ import annotations

import ipaddress
import threading

import pytest

from socksify.tunnel.names import NameTable


def test_a_name_and_its_address_are_found_both_ways() -> None:
    table = NameTable()
    address = table.address_of("name.example")
    assert ipaddress.ip_address(address) in ipaddress.ip_network("198.18.0.0/15")
    assert table.is_made_up(address)
    assert table.name_of(address) == "name.example"
    assert table.address_of("name.example") == address
    assert len(table) == 1


@pytest.mark.parametrize("other", ["NAME.example", "name.example.", "Name.Example."])
def test_spellings_of_one_name_share_an_address(other: str) -> None:
    table = NameTable()
    assert table.address_of("name.example") == table.address_of(other)
    assert len(table) == 1


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("198.18.0.1", True),
        ("198.19.255.254", True),
        ("198.17.255.255", False),
        ("198.20.0.0", False),
        ("198.180.0.1", False),
        ("::ffff:198.18.0.1", False),
        ("", False),
    ],
)
def test_the_network_of_made_up_addresses(host: str, expected: bool) -> None:
    assert NameTable().is_made_up(host) is expected


def test_no_address_looks_like_a_network_or_a_broadcast() -> None:
    table = NameTable()
    addresses = [table.address_of(f"{number}.example") for number in range(1000)]
    assert len(set(addresses)) == 1000
    assert not [address for address in addresses if address.endswith((".0", ".255"))]


def test_an_address_that_stands_for_nothing() -> None:
    assert NameTable().name_of("198.18.0.1") is None


def test_threads_never_share_an_address_of_two_names() -> None:
    table = NameTable()
    found: list[dict[str, str]] = []

    def ask(start: int) -> None:
        found.append({name: table.address_of(name) for name in (f"{n}.example" for n in range(start, start + 500))})

    threads = [threading.Thread(target=ask, args=(start,)) for start in (0, 250, 500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(found) == 3
    addresses = {name: address for part in found for name, address in part.items()}
    assert all(part[name] == addresses[name] for part in found for name in part)
    assert len(set(addresses.values())) == len(addresses) == len(table) == 1000


def test_a_lock_held_at_a_fork_is_free_in_the_child() -> None:
    table = NameTable()
    table._lock.acquire()
    table.after_fork()
    assert table.address_of("name.example")
