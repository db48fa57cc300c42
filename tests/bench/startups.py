"""What `python -m socksify` adds to a program's start: modules, which are counted, and milliseconds."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from statistics import median
from time import perf_counter

from tests.bench.programs import Argv
from tests.bench.table import Row, Verdict
from tests.support.paths import ROOT

ROUNDS = 40
MODULES = "import sys; print(len(sys.modules))"
OURS = ["-m", "socksify", "--proxy", "socks5h://127.0.0.1:1080"]


def rows() -> Iterator[Row]:
    native, ours, client = (_modules(words) for words in (["-c", MODULES], [*OURS, "-c", MODULES], _client(MODULES)))
    yield Row("start: modules imported", f"{ours}", "", "counted", _peers(native, client), Verdict.NONE)
    times = _times({"native": ["-c", "pass"], "again": ["-c", "pass"], "ours": [*OURS, "-c", "pass"]})
    control = median(second / first for second, first in zip(times["again"], times["native"], strict=True))
    peers = _peers(round(median(times["native"])), round(median(times["client"])))
    yield Row("start: ms", f"{median(times['ours']):.0f}", "", f"{control:.2f}", peers, Verdict.NONE)


def _client(code: str) -> Argv:
    """What any client of ours imports sooner or later."""
    return ["-c", f"import socket; {code}"]


def _peers(native: int, client: int) -> str:
    return f"`python -c pass` {native}, `python -c 'import socket'` {client}"


def _modules(words: Argv) -> int:
    return int(subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, check=True).stdout)


def _times(programs: Mapping[str, Argv]) -> Mapping[str, list[float]]:
    """Milliseconds of each start, in turn."""
    programs = {**programs, "client": _client("pass")}
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(ROUNDS):
        for name, words in programs.items():
            began = perf_counter()
            subprocess.run([sys.executable, *words], cwd=ROOT, check=True)
            times[name].append((perf_counter() - began) * 1000)
    return times
