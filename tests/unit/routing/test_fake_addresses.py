"""The fake address table: names and addresses in both families, its bound, threads, forks and child processes."""

from __future__ import annotations

import ipaddress
import itertools
import os
import random
import signal
import threading
import tracemalloc
from collections import OrderedDict
from socket import AF_INET, AF_INET6

import pytest

from socksify import _signal_safety
from socksify.routing.fake_addresses import FakeAddressTable
from tests.unit.routing.small_table import ROOM, SMALL, add, small


@pytest.mark.parametrize(("family", "network"), [(AF_INET, "198.18.0.0/15"), (AF_INET6, "100::/64")])
def test_a_name_and_its_address_are_found_both_ways(family: int, network: str) -> None:
    table = FakeAddressTable()
    address = table.address_of("name.example", family)
    assert ipaddress.ip_address(address) in ipaddress.ip_network(network)
    assert str(ipaddress.ip_address(address)) == address
    assert table.is_fake(address)
    assert table.name_of(address) == "name.example"
    assert table.address_of("name.example", family) == address
    assert len(table) == 1


def test_a_name_has_one_place_in_both_networks() -> None:
    table = FakeAddressTable()
    add(table, 300)
    ipv4, ipv6 = (table.address_of("name.example", family) for family in (AF_INET, AF_INET6))
    assert int(ipaddress.ip_address(ipv4)) & 0x1FFFF == int(ipaddress.ip_address(ipv6)) & 0x1FFFF
    assert len(table) == 301


@pytest.mark.parametrize("other", ["NAME.example", "name.example.", "Name.Example."])
def test_spellings_of_one_name_share_an_address(other: str) -> None:
    """The proxy gets the spelling of the latest look-up."""
    table = FakeAddressTable()
    address = table.address_of("name.example")
    assert table.address_of(other) == address
    assert table.name_of(address) == other
    assert table.address_of("name.example") == address
    assert table.name_of(address) == "name.example"
    assert len(table) == 1


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("198.18.0.1", True),
        ("198.18.0.0", True),
        ("198.19.255.255", True),
        ("198.17.255.255", False),
        ("198.20.0.0", False),
        ("198.180.0.1", False),
        ("::ffff:198.18.0.1", False),
        ("100::", True),
        ("100::1", True),
        ("100::ffff:ffff:ffff:ffff", True),
        ("100::1:2:3:4:5", False),
        ("100:0:0:1::", False),
        ("1000::1", False),
        ("::1", False),
        ("", False),
        ("198.18.example", False),
        ("198.18.0.1\0", False),
        ("100::name", False),
    ],
)
def test_the_default_networks(host: str, expected: bool) -> None:
    table = FakeAddressTable()
    assert table.is_fake(host) is expected
    assert table.name_of(host) is None


@pytest.mark.parametrize(
    "networks",
    [
        ("10.0.0.0/8", "fd00::/8"),
        ("172.16.0.0/12", "2001:db8::/32"),
        ("203.0.113.0/24", "::/96"),
        ("100.64.0.0/10", "64:ff9b:1::/48"),
        ("192.0.0.0/9", "2001:db8:0:8000::/49"),
        ("198.51.100.0/24", "fd00::ff00/120"),
    ],
    ids=str,
)
def test_networks_of_any_length(networks: tuple[str, str]) -> None:
    table = FakeAddressTable(networks)
    for family, text in zip((AF_INET, AF_INET6), networks, strict=True):
        network = ipaddress.ip_network(text)
        assert ipaddress.ip_address(table.address_of("name.example", family)) in network
        for inside in (network[0], network[-1], network[100]):
            assert table.is_fake(str(inside))
        for outside in (int(network[0]) - 1, int(network[-1]) + 1):
            if 0 <= outside < 1 << network.max_prefixlen:
                assert not table.is_fake(str(type(network[0])(outside)))


def test_other_networks_start_an_empty_table() -> None:
    table = FakeAddressTable()
    address = table.address_of("name.example")
    table.configure(("198.18.0.0/15", "100::/64"))
    assert table.name_of(address) == "name.example"
    table.configure(SMALL)
    assert (len(table), table.name_of(address), table.is_fake(address)) == (0, None, False)
    assert table.address_of("name.example").startswith("10.1.2.")


def test_no_address_looks_like_a_network_or_a_broadcast() -> None:
    addresses = add(FakeAddressTable(), 1000)
    assert len(set(addresses)) == 1000
    assert not [address for address in addresses if address.endswith((".0", ".255"))]


@pytest.mark.parametrize("use", ["address", "name"])
def test_the_least_recently_used_name_gives_way(use: str) -> None:
    table = small()
    addresses = add(table, ROOM)
    assert len(set(addresses)) == len(table) == ROOM
    if use == "address":
        table.address_of("0.example", AF_INET6)
    else:
        table.name_of(addresses[0])
    add(table, 1, start=1000)
    assert len(table) == ROOM
    assert table.name_of(addresses[0]) == "0.example"
    assert table.name_of(addresses[1]) is None
    assert table.is_fake(addresses[1])


def test_a_dropped_address_stands_for_nothing_as_long_as_can_be() -> None:
    """A client that still uses it must get an error, and not another host."""
    table = small()
    first = add(table, ROOM)
    second = add(table, ROOM, start=1000)
    assert not set(first) & set(second)
    assert {table.name_of(address) for address in first} == {None}
    assert add(table, ROOM, start=2000) == first


def test_a_dropped_name_is_given_another_address() -> None:
    table = small()
    before = table.address_of("name.example")
    add(table, ROOM)
    after = table.address_of("name.example")
    assert after != before
    assert (table.name_of(before), table.name_of(after)) == (None, "name.example")


def test_it_does_what_a_simple_table_does() -> None:
    """Random calls are compared with a model of the names in the table. No two of its names have the same address."""
    table = small()
    chance = random.Random(1)
    model: OrderedDict[str, str] = OrderedDict()
    for _ in range(20_000):
        name = f"{int(chance.expovariate(0.01))}.example"
        if chance.random() < 0.5 and name in model:
            assert table.name_of(model[name]) == name
        else:
            address = table.address_of(name)
            assert model.setdefault(name, address) == address
        model.move_to_end(name)
        if len(model) > ROOM:
            model.popitem(last=False)
        assert len(table) == len(model)
    assert len(set(model.values())) == ROOM
    assert {address: table.name_of(address) for address in model.values()} == {a: n for n, a in model.items()}


def test_two_hundred_thousand_names_pass_through() -> None:
    table = FakeAddressTable()
    tracemalloc.start()
    try:
        addresses = add(table, 200_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    room = len(table)
    assert room == 65_024
    newest = addresses[-room:]
    assert [table.name_of(address) for address in newest] == [f"{number}.example" for number in range(200_000)[-room:]]
    dropped = set(addresses) - set(newest)
    assert len(dropped) == room
    assert {table.name_of(address) for address in dropped} == {None}
    # The list of addresses above is 13 MB of it.
    assert peak < 48 << 20


def test_wide_networks_do_not_make_the_table_wide() -> None:
    table = FakeAddressTable(("10.0.0.0/8", "fd00::/8"))
    add(table, 70_000)
    assert len(table) == 65_024


class TestNative:
    """An address from a native look-up is no fake address."""

    def test_it_is_a_real_one(self) -> None:
        table = FakeAddressTable()
        table.mark_real(["198.18.0.9", "203.0.113.5", "100::5"])
        assert not table.is_fake("198.18.0.9")
        assert not table.is_fake("100::5")
        assert table.is_fake("100::9")
        assert table.is_fake("198.18.0.5")

    def test_it_is_given_to_no_name(self) -> None:
        table = small()
        table.mark_real(["10.1.2.1", "fd00::3"])
        addresses = add(table, 3 * ROOM)
        assert not {"10.1.2.1", "10.1.2.3"} & set(addresses)
        assert len(set(addresses[-ROOM:])) == len(table) == ROOM

    def test_the_name_that_had_it_is_given_another(self) -> None:
        table = FakeAddressTable()
        before = table.address_of("name.example")
        table.mark_real([before])
        assert (table.name_of(before), len(table)) == (None, 0)
        after = table.address_of("name.example")
        assert after != before
        assert table.name_of(after) == "name.example"

    def test_the_memory_is_bounded_and_what_is_forgotten_is_refused(self) -> None:
        table = small()
        addresses = [f"10.1.2.{number}" for number in range(1, 255)]
        table.mark_real(addresses)
        assert table.is_fake(addresses[0])
        assert 0 < sum(not table.is_fake(address) for address in addresses) < ROOM
        assert len(set(add(table, ROOM))) == ROOM


def test_threads_never_share_an_address_of_two_names() -> None:
    table = FakeAddressTable()
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


def test_a_signal_handler_may_ask_while_the_table_is_being_changed() -> None:
    table = FakeAddressTable()
    given: dict[str, str] = {}

    # A handler may be interrupted by the next one.
    numbers = itertools.count()

    def handle(*_: object) -> None:
        name = f"handler-{next(numbers)}.example"
        given[name] = table.address_of(name)

    previous = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        # Fewer than are dropped.
        for number in range(50_000):
            given[f"{number}.example"] = table.address_of(f"{number}.example")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    assert len(given) > 50_000
    assert len(set(given.values())) == len(given) == len(table)
    assert all(table.name_of(address) == name for name, address in given.items())


class TestFork:
    """Another thread may be changing the table. In the child, no thread finishes that change."""

    def test_in_the_child_nothing_hangs_and_nothing_is_lost(self) -> None:
        table = FakeAddressTable()
        known = table.address_of("known.example")
        inside, leave = threading.Event(), threading.Event()

        def change() -> None:
            with table._lock:
                table._names[5] = "half.example"
                inside.set()
                leave.wait(10)

        thread = threading.Thread(target=change)
        thread.start()
        assert inside.wait(10)
        try:
            pid = os.fork()
            if pid == 0:
                os._exit(_child(table, known))
        finally:
            leave.set()
            thread.join(10)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    def test_parent_and_child_go_on_apart(self) -> None:
        table = FakeAddressTable()
        table.address_of("before.example")
        pid = os.fork()
        if pid == 0:
            table.after_fork()
            table.address_of("child.example")
            os._exit(0 if len(table) == 2 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert len(table) == 1

    def test_what_one_makes_up_stands_for_nothing_to_the_other(self) -> None:
        """This can fail by accident: the first index is one of 130,048."""
        table = FakeAddressTable()
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            table.after_fork()
            os.write(write, "\n".join(add(table, 10)).encode())
            os._exit(0)
        os.waitpid(pid, 0)
        theirs = os.read(read, 1000).decode().split("\n")
        os.close(read)
        os.close(write)
        add(table, 10, start=10)
        assert [table.name_of(address) for address in theirs] == [None] * 10

    def test_the_child_keeps_its_bounds(self) -> None:
        table = small()
        before = add(table, 100)
        for generation in range(1, 6):
            table.after_fork()
            after = add(table, 27, start=100 * generation)
            assert len(set(after)) == 27
            assert not set(before) & set(after) or generation > 1
        assert len(table) == ROOM
        assert len(set(add(table, 3 * ROOM, start=1000)[-ROOM:])) == ROOM


def test_another_process_begins_at_another_place() -> None:
    assert len({FakeAddressTable().address_of("name.example") for _ in range(10)}) > 1


def test_every_place_is_used_before_one_is_used_again() -> None:
    table = small()
    assert sorted(add(table, 2 * ROOM), key=ipaddress.ip_address) == [f"10.1.2.{number}" for number in range(1, 255)]


def _child(table: FakeAddressTable, known: str) -> int:
    """Return the exit status of a child: 0 if its table is whole. SIGALRM ends a child that hangs."""
    signal.alarm(10)
    _signal_safety.after_fork()
    table.after_fork()
    whole = (
        table.name_of(known) == "known.example"
        and table.address_of("known.example") == known
        and table.name_of(table.address_of("half.example")) == "half.example"
        and len({table.address_of(name) for name in ("known.example", "half.example", "new.example")}) == 3
        and len(table) == 3
    )
    return 0 if whole else 1
