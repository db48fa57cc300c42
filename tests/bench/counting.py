"""System calls per unit of work, under `strace -c`: a count has no noise, so it needs no control.

What a program does besides, to start, to import, to end, is the same in a short run and in a long one, and goes away
in their difference.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping

from tests.bench.programs import ENVIRONMENT, Argv
from tests.support.paths import ROOT
from tests.support.processes import require

Calls = Mapping[str, float]


def system_calls(argv: Argv, count: int) -> Counter[str]:
    """All system calls of the whole life of a worker that does one block, by name."""
    with tempfile.NamedTemporaryFile("r", prefix="socksify-strace-") as report:
        strace = [require("strace"), "-f", "-c", "-U", "calls,name", "-o", report.name]
        command, line = [*strace, *argv], f"{count}\n".encode()
        subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, input=line, stdout=subprocess.DEVNULL, check=True)
        return parse(report.read())


@contextlib.contextmanager
def attached(pid: int) -> Iterator[Counter[str]]:
    """All system calls of a running process and its threads during the block, by name; known when it is over."""
    calls: Counter[str] = Counter()
    with tempfile.NamedTemporaryFile("r", prefix="socksify-strace-") as report:
        argv = [require("strace"), "-f", "-c", "-U", "calls,name", "-o", report.name, "-p", str(pid)]
        with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as strace:
            assert strace.stderr is not None
            assert "attached" in strace.stderr.readline()
            try:
                yield calls
            finally:
                strace.send_signal(signal.SIGINT)
                strace.wait()
        calls.update(parse(report.read()))


def parse(report: str) -> Counter[str]:
    """The table of `strace -c -U calls,name`: a header and a total, each set off by a line of dashes."""
    rows = [line.split() for line in report.splitlines()]
    return Counter({row[1]: int(row[0]) for row in rows if len(row) == 2 and row[0].isdigit() and row[1] != "total"})


def per_unit(argv: Argv, few: int, many: int) -> Calls:
    """System calls that one more unit of work costs, by name, to a tenth; what is less than that is chance."""
    short, long = system_calls(argv, few), system_calls(argv, many)
    slopes = {name: round((long[name] - short[name]) / (many - few), 1) for name in long | short}
    return {name: slope for name, slope in sorted(slopes.items()) if slope}


def total(calls: Calls) -> float:
    return round(sum(calls.values()), 1)
