"""What a look-up of a name costs that is never looked up: time over that of a number, and memory."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from tests.bench import programs
from tests.bench.interleaved import BASELINE, race
from tests.bench.table import Row, counted, timed

# Nobody is connected to.
PROXY, ELSEWHERE = 9, 9
CALLS = 20_000
ROUNDS = (20, 80)
MICROSECONDS = 5.0
# Equals may differ by this much of a call.
MARGIN = 0.2
NAMES = 200_000
# The table is full at 65,024 names.
MEBIBYTES = 32


def rows() -> Iterator[Row]:
    yield _time()
    yield _memory()


def _time() -> Row:
    look_up = programs.python("look_up", "host.example")
    contenders = {
        BASELINE: programs.python("look_up", "198.18.0.1"),
        "ours": programs.socksified(look_up, PROXY, ELSEWHERE),
    }
    times = race(contenders, CALLS, MARGIN, ROUNDS, 60)
    number = median(times.rounds[BASELINE]) / CALLS * 1e6
    over = (times.ratio("ours") - 1) * number
    return Row(
        "getaddrinfo of a known name, over a number: microseconds",
        f"{over:.1f}",
        f"at most {MICROSECONDS:g}",
        f"{times.control:.2f}",
        f"a number, unpatched: {number:.1f}",
        timed(over <= MICROSECONDS, times.control, MARGIN),
    )


def _memory() -> Row:
    argv = programs.socksified(programs.python("look_up"), PROXY, ELSEWHERE)
    with programs.workers({"ours": argv}) as started:
        first, again = (started["ours"].block(NAMES)["bytes"] / (1 << 20) for _ in range(2))
    return Row(
        "200,000 names looked up, then 200,000 others: MiB allocated and kept",
        f"{first:.1f}, {again:+.1f} more",
        f"at most {MEBIBYTES}, and 1 more",
        "counted",
        "",
        counted(first <= MEBIBYTES and again <= 1),
    )
