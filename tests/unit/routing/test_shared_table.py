"""The table for child processes: names of indices, in another process and after the end of the parent."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator

import pytest

from socksify.routing.shared_table import SharedTable, find, new_path, read

SIZE = 512


@pytest.fixture
def path() -> str:
    return new_path()


@pytest.fixture
def table(path: str) -> Iterator[SharedTable]:
    made = SharedTable(path, SIZE)
    yield made
    made.close()


@pytest.mark.parametrize("name", ["name.example", "b\u00fccher.example", "a", "x" * 255, "\udcff.example"])
@pytest.mark.parametrize("place", [0, 1, SIZE - 1])
def test_a_name_is_read_where_it_was_put(table: SharedTable, path: str, place: int, name: str) -> None:
    table.put(place, name)
    assert read(path, place) == name
    assert [read(path, other) for other in (place ^ 1, SIZE)] == [None, None]


def test_what_was_removed_stands_for_nothing(table: SharedTable, path: str) -> None:
    table.put(7, "name.example")
    table.put(7, "n.example")
    assert read(path, 7) == "n.example"
    table.remove(7)
    assert read(path, 7) is None


def test_a_name_without_room_is_left_out(table: SharedTable, path: str) -> None:
    table.put(7, "x" * 256)
    assert read(path, 7) is None


def test_two_tables_have_two_paths(table: SharedTable, path: str) -> None:
    table.put(0, "name.example")
    other = new_path()
    assert other != path
    assert (read(other, 0), find(other)) == (None, None)


def test_where_there_is_no_such_process_nothing_is_read() -> None:
    assert read("/proc/0/fd/socksify-names-0", 0) is None


def test_another_process_reads_what_was_put_after_its_start(table: SharedTable, path: str) -> None:
    go, said = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.read(go[0], 1)
        os.write(said[1], (read(path, 3) or "").encode())
        os._exit(0)
    table.put(3, "late.example")
    os.write(go[1], b"x")
    assert os.read(said[0], 99) == b"late.example"
    assert os.waitpid(pid, 0)[1] == 0
    for fd in (*go, *said):
        os.close(fd)


@pytest.mark.parametrize("stays", [True, False])
def test_it_is_open_after_execve_if_that_is_wanted(table: SharedTable, path: str, stays: bool) -> None:
    table.keep_over_exec(stays)
    file = find(path)
    assert file is not None
    assert os.get_inheritable(int(os.path.basename(file))) is stays


def test_a_table_that_was_closed_is_written_no_more(path: str) -> None:
    table = SharedTable(path, SIZE)
    assert table.is_open
    table.close()
    assert not table.is_open
    table.put(0, "name.example")
    table.keep_over_exec(True)
    assert read(path, 0) is None


def test_a_file_that_cannot_be_written_is_no_error(table: SharedTable, path: str) -> None:
    """The limit of setrlimit(2) for the size of files also holds for a table."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        table.put(0, "name.example")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert read(path, 0) is None


def test_descriptors_that_are_closed_meanwhile_are_passed_over(
    table: SharedTable, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parent opens and closes descriptors while a child lists them."""
    table.put(0, "name.example")
    original = os.listdir
    monkeypatch.setattr(os, "listdir", lambda directory: ["999999", *original(directory)])
    assert read(path, 0) == "name.example"
