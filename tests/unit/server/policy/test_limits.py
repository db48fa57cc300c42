from __future__ import annotations

import pytest

from socksify.server.policy.limits import Counts, Denied, Limits
from tests.unit.server.policies import REMOTE


def test_without_limits_everybody_enters() -> None:
    counts = Counts()
    assert [counts.enter(Limits(), REMOTE) for _ in range(1000)] == [None] * 1000
    assert [counts.identify(Limits(), b"alice") for _ in range(1000)] == [None] * 1000


def test_connections_in_all() -> None:
    counts, limits = Counts(), Limits(connections=2)
    assert counts.enter(limits, "192.0.2.1") is None
    assert counts.enter(limits, "192.0.2.2") is None
    assert counts.enter(limits, "192.0.2.3") == Denied("limit: connections = 2")
    counts.leave("192.0.2.1", None)
    assert counts.enter(limits, "192.0.2.3") is None
    assert counts.enter(limits, "192.0.2.3") is not None


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
    ],
)
def test_connections_of_a_client(first: str, second: str, same: bool) -> None:
    counts, limits = Counts(), Limits(per_client=1)
    assert counts.enter(limits, first) is None
    assert counts.enter(limits, second) == (Denied("limit: per_client = 1") if same else None)


def test_clients_of_a_unix_socket_are_not_one_client() -> None:
    counts, limits = Counts(), Limits(per_client=1)
    assert counts.enter(limits, "") is None
    assert counts.enter(limits, "") is None


def test_connections_of_a_user() -> None:
    counts, limits = Counts(), Limits(per_user=1)
    for host in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        assert counts.enter(limits, host) is None
    assert counts.identify(limits, b"alice") is None
    assert counts.identify(limits, b"bob") is None
    assert counts.identify(limits, b"alice") == Denied("limit: per_user = 1")
    counts.leave("192.0.2.2", b"alice")
    assert counts.identify(limits, b"alice") is not None
    counts.leave("192.0.2.1", b"alice")
    counts.leave("192.0.2.3", b"alice")
    assert counts.identify(limits, b"alice") is None


def test_a_client_that_has_left_is_forgotten() -> None:
    counts = Counts()
    for number in range(300):
        host = f"2001:db8:{number:x}::1"
        assert counts.enter(Limits(), host) is None
        assert counts.identify(Limits(), host.encode()) is None
        counts.leave(host, host.encode())
    assert (counts._connections, counts._clients, counts._users) == (0, {}, {})


def test_a_limit_may_be_lowered_by_a_reload() -> None:
    counts = Counts()
    for _ in range(3):
        assert counts.enter(Limits(), REMOTE) is None
    assert counts.enter(Limits(connections=2), REMOTE) is not None


def test_failures_are_slowed_more_and_more_and_forgotten() -> None:
    now = 0.0
    counts = Counts(lambda: now)
    assert [counts.failed(Limits(), REMOTE) for _ in range(7)] == [1, 2, 4, 8, 16, 20, 20]
    assert counts.failed(Limits(), "192.0.2.99") == 1
    assert counts.failed(Limits(failed_seconds=0.0), REMOTE) == 0
    assert [counts.failed(Limits(failed_seconds=60.0), REMOTE) for _ in range(3)] == [60, 60, 60]
    now = 600.0
    assert [counts.failed(Limits(), REMOTE) for _ in range(2)] == [1, 2]


def test_failures_for_ever_are_still_numbers() -> None:
    counts = Counts(lambda: 0.0)
    assert {counts.failed(Limits(), REMOTE) for _ in range(3000)} == {1, 2, 4, 8, 16, 20}


def test_failures_of_all_the_world_take_bounded_memory() -> None:
    counts = Counts(lambda: 0.0)
    for number in range(10_100):
        counts.failed(Limits(), f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(counts._failures) == 10_000


@pytest.mark.parametrize(("limit", "workers", "share"), [(100, 4, 25), (10, 4, 3), (1, 4, 1), (0, 4, 0), (7, 1, 7)])
def test_workers_share_the_counts_and_not_the_times(limit: int, workers: int, share: int) -> None:
    limits = Limits(limit, limit, limit, datagrams_per_second=50, idle_seconds=5)
    assert limits.share(workers) == Limits(share, share, share, datagrams_per_second=50, idle_seconds=5)
