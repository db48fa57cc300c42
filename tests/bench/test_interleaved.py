"""The arithmetic of the races, with contenders that say what they took."""

from __future__ import annotations

import sys

import pytest

from tests.bench.interleaved import BASELINE, CONTROL, Times, race, settled


def says(*seconds: float) -> list[str]:
    """A worker whose blocks took these times, by its own account, again and again."""
    code = (
        "import sys, itertools, json\n"
        f"for _, seconds in zip(sys.stdin, itertools.cycle({seconds})):\n"
        "    print(json.dumps({'seconds': seconds}), flush=True)"
    )
    return [sys.executable, "-c", code]


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    times = Times({BASELINE: [1, 1, 4], CONTROL: [1, 3, 4], "ours": [2, 3, 100]})
    # 2 / 1, 3 / 2, 100 / 4: one round that went wrong for ours does not decide.
    assert times.ratio("ours") == 2
    assert times.control == 1


def test_a_control_counts_within_half_the_margin() -> None:
    assert settled(1.07, 0.15)
    assert settled(0.93, 0.15)
    assert not settled(1.08, 0.15)
    assert not settled(0.92, 0.15)


def test_a_race_ends_when_its_control_is_settled() -> None:
    times = race({BASELINE: says(1), "ours": says(3)}, 1, 0.1, (4, 9), 60)
    assert len(times.rounds["ours"]) == 4
    assert times.ratio("ours") == 3
    assert times.control == 1


def test_a_race_goes_on_while_it_is_not() -> None:
    # Two runs of the same program never differ here; a control of 1 is not within half of a negative margin.
    times = race({BASELINE: says(1), "ours": says(3)}, 1, -0.1, (4, 9), 60)
    assert len(times.rounds["ours"]) == 9


def test_a_race_ends_when_its_time_is_over() -> None:
    assert len(race({BASELINE: says(1), "ours": says(3)}, 1, -0.1, (4, 9), 0).rounds["ours"]) == 1


def test_a_contender_that_ends_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="ended with status 3"):
        race({BASELINE: says(1), "ours": [sys.executable, "-c", "raise SystemExit(3)"]}, 1, 0.1, (4, 9), 60)
