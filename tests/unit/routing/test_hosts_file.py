"""The hosts file: it is read as the resolver reads it, and again when it has changed."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import pytest

from socksify.routing import hosts_file
from socksify.routing.hosts_file import Hosts, HostsFile, literals_of


@pytest.mark.parametrize(
    ("line", "address", "entry"),
    [
        (b"192.0.2.5 one.example", "192.0.2.5", ("one.example", [])),
        (b"192.0.2.5\tOne.Example. one  two", "192.0.2.5", ("One.Example.", ["one", "two"])),
        (b"  192.0.2.5 one", "192.0.2.5", ("one", [])),
        (b"192.0.2.5 one\r", "192.0.2.5", ("one", [])),
        (b"192.0.2.5 one # 192.0.2.6 two", "192.0.2.5", ("one", [])),
        (b"192.0.2.5 one#two", "192.0.2.5", ("one", [])),
        (b"2001:DB8:0::5 one", "2001:db8::5", ("one", [])),
        (b"192.0.2.5 caf\xe9.example", "192.0.2.5", ("caf\udce9.example", [])),
        (b"192.0.2.5 one\n192.0.2.5 two", "192.0.2.5", ("one", [])),
        (b"#192.0.2.5 one", "192.0.2.5", None),
        (b"192.0.2.5", "192.0.2.5", None),
        (b"192.0.2.5 # one", "192.0.2.5", None),
        (b"192.000.002.005 one", "192.0.2.5", None),
        (b"fe80::5%eth0 one", "fe80::5", None),
        (b"\xff\xfe one", "192.0.2.5", None),
        (b"\x00 one", "192.0.2.5", None),
        (b"", "192.0.2.5", None),
    ],
)
def test_whose_an_address_is(line: bytes, address: str, entry: tuple[str, list[str]] | None) -> None:
    assert Hosts(line, "host").by_address.get(address) == entry


@pytest.mark.parametrize(
    ("hostname", "content", "own"),
    [
        ("host", b"", {"host"}),
        ("host.corp.example", b"", {"host.corp.example", "host"}),
        ("HOST.", b"", {"host"}),
        ("host", b"192.0.2.5 host.corp.example host www", {"host", "host.corp.example", "www"}),
        ("host", b"192.0.2.5 HOST www\n192.0.2.6 www mail", {"host", "www"}),
        ("host.corp.example", b"192.0.2.5 host mail", {"host.corp.example", "host", "mail"}),
        ("host", b"127.0.0.1 localhost host x.localhost", {"host"}),
        ("host", b"192.0.2.5 other", {"host"}),
        ("localhost", b"127.0.0.1 localhost advertiser.example", set()),
        ("", b"192.0.2.5 host", set()),
    ],
)
def test_what_the_machine_is_called(hostname: str, content: bytes, own: set[str]) -> None:
    assert Hosts(content, hostname).own_names == own


def test_where_its_names_are() -> None:
    found = Hosts(
        b"127.0.1.1 host.corp.example host\n2001:db8::5 HOST\n127.0.1.1 host\n192.0.2.9 mail host.corp.example\n"
        b"127.0.0.1 localhost\n::1 localhost\n127.0.0.9 app.localhost\n192.0.2.7 other",
        "host",
    )
    assert found.own_addresses == ("127.0.1.1", "2001:db8::5")
    assert found.by_name == {
        "host": ("127.0.1.1", "2001:db8::5"),
        "host.corp.example": ("127.0.1.1", "192.0.2.9"),
        "localhost": ("127.0.0.1", "::1"),
        "app.localhost": ("127.0.0.9",),
    }


def test_all_names_of_loopback_are_here() -> None:
    """They are known with all their names and addresses in the file."""
    found = Hosts(
        b"127.0.0.1 localhost\n::1 localhost ip6-localhost IP6-Loopback\n127.0.0.1 advertiser.example tracker.example\n"
        b"192.0.2.5 tracker.example other\nff02::1 ip6-allnodes",
        "host",
    )
    assert found.by_name == {
        "localhost": ("127.0.0.1", "::1"),
        "ip6-localhost": ("::1",),
        "ip6-loopback": ("::1",),
        "advertiser.example": ("127.0.0.1",),
        "tracker.example": ("127.0.0.1", "192.0.2.5"),
    }
    assert found.own_names == {"host"}


class TestFile:
    @pytest.fixture(autouse=True)
    def at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(HostsFile, "_FRESH", 0.0)

    def test_a_change_is_seen(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "hosts"
        file = HostsFile(str(path))
        assert file.read().by_address == {}
        path.write_bytes(b"192.0.2.5 one\n")
        assert file.read().by_address == {"192.0.2.5": ("one", [])}
        path.write_bytes(b"192.0.2.5 another\n")
        assert file.read().by_address == {"192.0.2.5": ("another", [])}
        monkeypatch.setattr(hosts_file, "gethostname", lambda: "another")
        assert file.read().own_addresses == ("192.0.2.5",)
        path.unlink()
        assert file.read().by_address == {}

    def test_what_has_not_changed_is_not_read_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "hosts"
        path.write_bytes(b"192.0.2.5 one\n")
        file = HostsFile(str(path))
        first = file.read()
        assert file.read() is first
        monkeypatch.setattr(HostsFile, "_FRESH", 60.0)
        file.read()
        path.write_bytes(b"")
        assert file.read() is first

    def test_an_event_loop_does_not_look_itself(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It gets the known content. The next caller after the check gets the new content."""
        path = tmp_path / "hosts"
        path.write_bytes(b"192.0.2.5 one\n")
        file = HostsFile(str(path))
        looked: list[int] = []
        over = threading.Event()
        original = HostsFile._check

        def look(self: HostsFile) -> None:
            looked.append(threading.get_ident())
            original(self)
            over.set()

        async def on_a_loop() -> None:
            assert file.read().by_address == {"192.0.2.5": ("one", [])}

        file.read()
        path.write_bytes(b"192.0.2.5 another\n")
        monkeypatch.setattr(HostsFile, "_check", look)
        asyncio.run(on_a_loop())
        assert over.wait(10)
        assert looked != [threading.get_ident()]
        assert file._found.by_address == {"192.0.2.5": ("another", [])}

    @pytest.mark.parametrize("kind", ["missing", "directory", "loop"])
    def test_one_that_cannot_be_read_is_as_if_empty(self, tmp_path: Path, kind: str) -> None:
        path = tmp_path / "hosts"
        if kind == "directory":
            path.mkdir()
        elif kind == "loop":
            os.symlink(path, path)
        assert HostsFile(str(path)).read().by_address == {}


@pytest.mark.parametrize(
    ("name", "literals"),
    [
        ("one", ("192.0.2.5", "2001:db8::5")),
        ("ONE.", ("192.0.2.5", "2001:db8::5")),
        ("two", ("192.0.2.6",)),
        ("tw", ()),
    ],
)
def test_the_literals_of_a_name(name: str, literals: tuple[str, ...]) -> None:
    content = b"192.0.2.5 one\n192.0.2.6 two # one\n2001:db8::5 other one\n192.0.2.5 one\n"
    assert literals_of(name, content) == literals
    assert literals_of("absent", content) == ()


def test_without_a_thread_a_loop_reads_the_file_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "hosts"
    path.write_bytes(b"192.0.2.5 one\n")
    monkeypatch.setattr(HostsFile, "_FRESH", 0.0)
    file = HostsFile(str(path))
    file.read()
    path.write_bytes(b"192.0.2.5 another\n")

    async def on_a_loop() -> None:
        assert file.read().by_address == {"192.0.2.5": ("another", [])}

    # No thread can have a stack of this size.
    usual = threading.stack_size(1 << 46)
    try:
        asyncio.run(on_a_loop())
    finally:
        threading.stack_size(usual)
