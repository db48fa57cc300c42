"""Child processes read the names of fake addresses."""

from __future__ import annotations

import os

import pytest

from socksify.routing.fake_addresses import FakeAddressTable
from socksify.routing.shared_table import read
from tests.unit.routing.small_table import ROOM, SMALL, add, small


def test_a_child_is_told_a_path_before_there_is_a_name() -> None:
    table = small()
    assert table.path == ""
    (path,) = table.share()
    assert table.path == path
    address = table.address_of("name.example")
    child = FakeAddressTable(SMALL)
    child.inherit((path,))
    assert child.ancestors == (path,)
    assert child.name_of(address) == "name.example"
    table.stop_sharing()
    assert table.path == ""


def test_names_that_were_there_before_are_told_too() -> None:
    table = small()
    addresses = add(table, 3)
    child = FakeAddressTable(SMALL)
    child.inherit(table.share())
    assert [child.name_of(address) for address in addresses] == ["0.example", "1.example", "2.example"]
    assert child.address_of("1.example") == addresses[1]
    table.stop_sharing()
    # What the child has read once, the child knows.
    assert child.name_of(addresses[1]) == "1.example"
    assert FakeAddressTable(SMALL).name_of(addresses[1]) is None


def test_a_name_that_is_dropped_is_told_no_more() -> None:
    table = small()
    paths = table.share()
    first = table.address_of("first.example")
    add(table, ROOM)
    child = FakeAddressTable(SMALL)
    child.inherit(paths)
    assert child.name_of(first) is None
    table.stop_sharing()


def test_the_nearest_ancestors_are_handed_on() -> None:
    table = small()
    table.inherit(tuple(f"/proc/0/fd/{number}" for number in range(99)))
    first, *others = table.share()
    assert first == table.path
    assert others == list(table.ancestors)[: len(others)]
    assert len(others) < 99
    table.stop_sharing()


def test_a_table_that_a_daemon_has_closed_is_opened_again() -> None:
    table = small()
    table.address_of("name.example")
    (path,) = table.share()
    shared = table.open_file()
    assert shared is not None
    assert table.open_file() is shared
    shared.close()
    assert table.share() == (path,)
    assert table.open_file() is not shared
    assert read(path, table._names.popitem()[0]) == "name.example"
    table.stop_sharing()


def test_it_stays_over_execve_if_that_is_wanted() -> None:
    table = small()
    table.keep_over_exec(True)
    table.address_of("name.example")
    table.share()
    shared = table.open_file()
    assert shared is not None
    for kept in (True, False):
        table.keep_over_exec(kept)
        assert os.get_inheritable(shared._kept.number) is kept
    table.stop_sharing()


def test_a_system_without_such_files_shares_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    table = small()
    table.address_of("name.example")
    (path,) = table.share()
    assert table.open_file() is None
    assert read(path, 0) is None
    assert table.address_of("other.example") != table.address_of("name.example")


def test_other_networks_forget_all() -> None:
    table = small()
    address = table.address_of("name.example")
    table.configure(SMALL)
    assert table.name_of(address) == "name.example"
    table.configure(("10.9.0.0/24", "fd00::/64"))
    assert not table.is_fake(address)
    assert table.name_of(address) is None
    assert len(table) == 0


def test_a_fork_in_the_middle_of_a_change_is_repaired() -> None:
    table = small()
    address = table.address_of("name.example")
    table.share()
    with table._lock:
        table._indices.clear()
        table.after_fork()
    assert table.path == ""
    assert table.address_of("name.example") == address
