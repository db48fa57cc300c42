"""What is known of sockets by their inodes: once, bounded, and forgotten."""

from __future__ import annotations

import errno

import pytest

from socksify._originals import Socket
from socksify.seal.streams import connections
from socksify.seal.streams.connections import Connections


class Attempt:
    def join(self, id: int, sock: Socket) -> None:
        raise NotImplementedError

    def cancel(self) -> None:
        raise NotImplementedError

    def tell_outcome(self, id: int, thread: int, value: int, length: int) -> None:
        raise NotImplementedError


def test_a_connect_that_succeeds() -> None:
    known, attempt = Connections(), Attempt()
    assert not known.may_report_errors
    assert not known.has_peers
    known.begin(7, attempt, b"peer")
    assert known.attempt(7) is attempt
    assert known.may_report_errors
    known.succeed(7)
    assert known.attempt(7) is None
    assert not known.may_report_errors
    assert known.peer(7) == b"peer"
    known.forget(7)
    assert known.peer(7) is None
    assert not known.has_peers


def test_a_failure_is_reported_once() -> None:
    known = Connections()
    known.begin(7, Attempt(), b"peer")
    known.fail(7, errno.ECONNREFUSED)
    assert known.attempt(7) is None
    assert known.peer(7) is None
    assert known.may_report_errors
    assert known.take_failure(8) == 0
    assert known.take_failure(7) == errno.ECONNREFUSED
    assert known.take_failure(7) == 0
    assert not known.may_report_errors


def test_a_failure_that_was_told_is_not_reported_again() -> None:
    known = Connections()
    known.begin(7, Attempt(), None)
    known.fail(7, 0)
    assert not known.may_report_errors


def test_a_new_connect_forgets_the_failure_before() -> None:
    known = Connections()
    known.begin(7, Attempt(), None)
    known.fail(7, errno.ECONNREFUSED)
    known.begin(7, Attempt(), None)
    known.succeed(7)
    assert known.take_failure(7) == 0


def test_the_tables_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_MOST_PEERS", 3)
    monkeypatch.setattr(connections, "_MOST_FAILURES", 3)
    known = Connections()
    for inode in range(4):
        known.fail(inode, errno.ETIMEDOUT)
    for inode in range(3):
        known.set_peer(inode, b"%d" % inode)
    # The entry that was used least recently is dropped.
    assert known.peer(0) == b"0"
    known.set_peer(3, b"3")
    assert [known.peer(inode) for inode in range(4)] == [b"0", None, b"2", b"3"]
    assert [known.take_failure(inode) for inode in range(4)] == [0] + 3 * [errno.ETIMEDOUT]
