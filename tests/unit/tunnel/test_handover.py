"""What is written down of open connections: how much, when, and what is made of nonsense."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from socksify.routing import fake_addresses
from socksify.routing.shared_table import find
from socksify.tunnel import handover as pages
from socksify.tunnel.handover import handover
from tests.support.bad_proxy import BadProxy
from tests.support.routing import routed
from tests.support.steps import HANG, READ_GREETING, READ_REQUEST, Send, Step, socks5_reply

Record = tuple[tuple[str, int], tuple[str, int], tuple[int, str, int], dict[tuple[int, int], int]]
OPEN: list[Step] = [READ_GREETING, Send(b"\x05\x00"), READ_REQUEST, Send(socks5_reply(0)), HANG]
RECORD: Record = (("203.0.113.5", 80), ("", 0), (1, "203.0.113.5", 80), {})


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Of this process, which is as if it had never had a child."""
    for name, value in {"_is_shared": False, "_published_to": (None, ()), "_published": {}}.items():
        monkeypatch.setattr(handover, name, value)
    assert fake_addresses.TABLE.open_file() is not None
    yield fake_addresses.TABLE.path
    fake_addresses.TABLE.stop_sharing()


def size(file: str) -> int:
    found = find(file)
    assert found is not None
    return os.stat(found).st_size


def test_a_full_page_drops_the_oldest(file: str) -> None:
    """All these have the same page."""
    keys: list[tuple[int, int]] = [(9, 5 + number * 1024) for number in range(1000)]
    for key in keys:
        pages._write(file, {key: RECORD})
    page = pages._page(file, keys[0])
    assert list(page) == keys[: -len(page) - 1 : -1]
    assert 10 < len(page) < 100
    assert size(file) < (1 << 25) + 1024 * 4096


def test_a_record_that_changes_is_kept_once(file: str) -> None:
    key = (9, 5)
    other: Record = (RECORD[0], ("203.0.113.9", 7), RECORD[2], {})
    for record in (RECORD, other):
        pages._write(file, {key: record})
    assert pages._page(file, key) == {key: other}


@pytest.mark.parametrize("nonsense", [b"\xff" * 4096, b"i\1\0\0\0", b"{", b"(\5"])
def test_nonsense_is_no_record(file: str, nonsense: bytes) -> None:
    fd = pages._open(file, os.O_RDWR)
    os.pwrite(fd, nonsense, pages._place((9, 5)))
    os.close(fd)
    assert pages._page(file, (9, 5)) == {}


@pytest.mark.parametrize("name", ["/proc/self/fd/0", "/nowhere", "/etc/hosts"])
def test_another_file_is_neither_read_nor_written(name: str) -> None:
    pages._write(name, {(9, 5): RECORD})
    assert pages._page(name, (9, 5)) == {}


def test_nothing_is_written_before_there_is_a_child(file: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, BadProxy(OPEN) as proxy, routed(proxy.url(), routes=("127.0.0.0/8=proxy",)):
        sock = socket.create_connection(("127.0.0.9", 80))
        with sock, sock.dup():
            ours.sendmsg([b"x"])
            assert theirs.recv(9) == b"x"
            assert not handover.is_shared()
            before = size(file)
            socket.send_fds(ours, [b"x"], [sock.fileno()])
            os.close(socket.recv_fds(theirs, 9, 1)[1][0])
            assert handover.is_shared()
            assert size(file) > before
