"""Counting under strace: what it prints is read right, and what is not the work's own goes away."""

from __future__ import annotations

import sys

from tests.bench.counting import parse, per_unit, total

REPORT = """\
    calls syscall
--------- ----------------
      110 recvfrom
        3 close
--------- ----------------
      113 total
"""


def test_the_report_is_read() -> None:
    assert parse(REPORT) == {"recvfrom": 110, "close": 3}


def test_only_the_work_counts() -> None:
    code = "import os\nfor _ in range(int(input())):\n    os.getppid()\n    os.getppid()\n    os.sched_yield()"
    calls = per_unit([sys.executable, "-c", code], 10, 110)
    assert calls == {"getppid": 2, "sched_yield": 1}
    assert total(calls) == 3
