"""What the hook adds to the start of a program that opens no socket: milliseconds over plain Python, in turn with it.

Of the processor, as the kernel accounts them: what else runs on the machine has less of a say in them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median

from tests.bench.table import Row, Verdict, counted
from tests.support.environments import PROXY, TEMPLATE, create

ROUNDS = 200
Start = tuple[Path, Mapping[str, str]]
ON_PATH = {"PYTHONPATH": str(TEMPLATE)}
OFF = {"SOCKSIFY_DISABLE": "1"}
# What each way of having the hook may cost at most.
LIMITS = {
    "hook in site-packages, on: ms": 1.0,
    "hook in site-packages, off: ms": 0.5,
    "hook on PYTHONPATH, on: ms": 1.0,
    "hook on PYTHONPATH, off: ms": 0.5,
}


def rows() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as directory:
        plain, again, hooked = (create(Path(directory) / name) for name in ("plain", "again", "hooked"))
        hooked.install("--proxy", PROXY)
        starts: dict[str, Start] = {"plain": (plain.python, {}), "again": (again.python, {})}
        ways = [(hooked.python, {}), (hooked.python, OFF), (plain.python, ON_PATH | {"SOCKSIFY_PROXY": PROXY})]
        starts |= zip(LIMITS, [*ways, (plain.python, ON_PATH)], strict=True)
        times = _times(starts)
    base = median(times["plain"])
    control = _difference(times, "again")
    for what, limit in LIMITS.items():
        cost = _difference(times, what)
        verdict = counted(cost <= limit) if abs(control) <= limit / 2 else Verdict.UNCLEAR
        peers = f"`python -c pass` {base:.1f}"
        yield Row(what, f"{cost:+.2f}", f"<= {limit}", f"{control:+.2f}", peers, verdict)


def _difference(times: Mapping[str, list[float]], name: str) -> float:
    """In milliseconds, of starts that followed each other."""
    return median(other - plain for other, plain in zip(times[name], times["plain"], strict=True))


def _times(starts: Mapping[str, Start]) -> Mapping[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in starts}
    for number in range(ROUNDS + 1):
        for name, (python, variables) in starts.items():
            spent = _processor_ms(python, {"PATH": os.defpath, **variables})
            # The first one may compile.
            if number:
                times[name].append(spent)
    return times


def _processor_ms(python: Path, variables: Mapping[str, str]) -> float:
    child = os.posix_spawn(python, [str(python), "-c", "pass"], variables)
    _, status, usage = os.wait4(child, 0)
    if status:
        raise RuntimeError(f"{python} ended with status {status}")
    return (usage.ru_utime + usage.ru_stime) * 1000
