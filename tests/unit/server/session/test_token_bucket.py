"""A rate limit, with bursts of up to one second's worth."""

from __future__ import annotations

import pytest

from socksify.server.session.udp_associate import TokenBucket


def test_no_limit() -> None:
    rate = TokenBucket()
    assert all(rate.allows(0, 0.0) for _ in range(1000))


@pytest.mark.parametrize("per_second", [1, 10, 1000])
def test_a_burst_and_then_as_many_a_second(per_second: int) -> None:
    rate = TokenBucket()
    assert sum(rate.allows(per_second, 100.0) for _ in range(3 * per_second)) == per_second
    assert sum(rate.allows(per_second, 102.0) for _ in range(3 * per_second)) == per_second
    steps = 2000
    allowed = sum(rate.allows(per_second, 102.0 + 3 * step / steps) for step in range(1, steps + 1))
    assert abs(allowed - min(3 * per_second, steps)) <= 1


def test_the_limit_may_change() -> None:
    rate = TokenBucket()
    assert sum(rate.allows(10, 0.0) for _ in range(20)) == 10
    assert sum(rate.allows(2, 5.0) for _ in range(20)) == 2
    assert rate.allows(0, 5.0)
