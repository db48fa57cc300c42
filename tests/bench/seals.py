"""What the seal is measured against: a hand-written SOCKS client in C, proxychains4, and unsealed programs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from statistics import median
from time import perf_counter

from tests.bench import load, programs
from tests.bench.counting import per_unit, total
from tests.bench.interleaved import BASELINE, CONTROL, Times, race
from tests.bench.table import Row, Verdict, counted, timed
from tests.support import servers
from tests.support.paths import ROOT

# Blocks of connections, and how many blocks.
CONNECTIONS, CONNECTION_ROUNDS = 100, (24, 60)
AT_ONCE, AT_ONCE_ROUNDS = 640, (8, 20)
MEBIBYTES, BULK_ROUNDS = 64, (12, 40)
QUERIES, QUERY_ROUNDS = 300, (8, 20)
ROUND_TRIPS = 500
STARTS = 30
SECONDS = 60
# What the requirements are; times are over those of the hand-written client.
BLOCKING, NONBLOCKING, OVER_PROXYCHAINS = 3.0, 4.0, 2.5
RATE = 3000
RELAYED, OWN = 0.5, 0.95
PAUSE_MS, START_MS = 2.0, 60.0


def rows() -> Iterator[Row]:
    with (
        programs.compiled("connects") as program,
        programs.listening(programs.python("target", "echo")) as echo,
        programs.listening(programs.python("target", "bulk")) as bulk,
    ):
        with servers.microsocks() as proxy:
            yield from _connects(program, proxy.port, echo)
            yield _rate(program, proxy.port, echo)
            yield _idle(proxy.port, echo)
            yield _start(proxy.port, echo)
        with servers.danted() as proxy:
            yield from _bulk(program, proxy.port, bulk)
            yield _pause(program, proxy.port, bulk)


def _contenders(program: str, proxy: int, target: int, what: str) -> dict[str, programs.Argv]:
    ways = {way: [program, way, str(proxy), str(target), what] for way in ("socks", "blocking", "nonblocking")}
    sealed = {way: programs.sealed(ways[way], proxy, target) for way in ("blocking", "nonblocking")}
    return {BASELINE: ways["socks"], **sealed}


def _connects(program: str, proxy: int, echo: int) -> Iterator[Row]:
    contenders = _contenders(program, proxy, echo, "connections")
    with programs.proxychained([program, "blocking", str(proxy), str(echo), "connections"], proxy) as proxychained:
        contenders["proxychains4"] = proxychained
        times = race(contenders, CONNECTIONS, BLOCKING - 1, CONNECTION_ROUNDS, SECONDS)
    peer = times.ratio("proxychains4")
    for way, limit in (("blocking", BLOCKING), ("nonblocking", NONBLOCKING)):
        ours = times.ratio(way)
        met = ours <= limit and (way == "nonblocking" or ours / peer <= OVER_PROXYCHAINS)
        over = f", {OVER_PROXYCHAINS:g} x proxychains4's" if way == "blocking" else ""
        yield _timed(f"sealed {way} connect from C: time / hand-written client's", times, ours, met, limit, over, peer)


def _timed(what: str, times: Times, ours: float, met: bool, limit: float, over: str, peer: float) -> Row:
    required, control = f"at most {limit:g}{over}", f"{times.control:.2f}"
    return Row(what, f"{ours:.2f}", required, control, f"proxychains4 {peer:.2f}", timed(met, times.control, limit - 1))


def _rate(program: str, proxy: int, echo: int) -> Row:
    times = race(_contenders(program, proxy, echo, "threads"), AT_ONCE, 0.5, AT_ONCE_ROUNDS, SECONDS)
    rates = {name: AT_ONCE / median(times.rounds[name]) for name in times.rounds}
    ours = rates["blocking"]
    return Row(
        "sealed blocking connects of 16 threads: a second",
        f"{ours:.0f}",
        f"at least {RATE}",
        f"{times.control:.2f}",
        f"hand-written {rates[BASELINE]:.0f}, non-blocking {rates['nonblocking']:.0f}",
        _on_the_clock(ours >= RATE),
    )


def _idle(proxy: int, echo: int) -> Row:
    """All calls of the launcher, the supervisor and the program count."""
    loop = programs.python("echo_loop", echo)
    native = per_unit(loop, ROUND_TRIPS // 10, ROUND_TRIPS // 10 + ROUND_TRIPS)
    ours = per_unit(programs.sealed(loop, proxy, echo), ROUND_TRIPS // 10, ROUND_TRIPS // 10 + ROUND_TRIPS)
    required = f"the same ones (unsealed {total(native):g})"
    what = "sealed asyncio echo, nothing pending: system calls a round trip"
    return Row(what, f"{total(ours):g}", required, "counted", "", counted(ours == native))


def _start(proxy: int, echo: int) -> Row:
    native = ["true"]
    starts = {BASELINE: native, CONTROL: native, "ours": programs.sealed(native, proxy, echo), "python": _PYTHON}
    times = _starts(starts)
    ours = median(times["ours"]) - median(times[BASELINE])
    control = median(times[CONTROL]) - median(times[BASELINE])
    python = median(times["python"]) - median(times[BASELINE])
    return Row(
        "start of a sealed program: ms more",
        f"{ours:.0f}",
        f"at most {START_MS:g}",
        f"{control:+.1f}",
        f"`python -c pass` {python:.0f}",
        _on_the_clock(ours <= START_MS),
    )


_PYTHON = [sys.executable, "-c", "pass"]


def _starts(argvs: Mapping[str, programs.Argv]) -> dict[str, list[float]]:
    """Milliseconds of each start and end, in turn."""
    times: dict[str, list[float]] = {name: [] for name in argvs}
    for _ in range(STARTS):
        for name, argv in argvs.items():
            began = perf_counter()
            subprocess.run(argv, cwd=ROOT, env=os.environ, check=True)
            times[name].append((perf_counter() - began) * 1000)
    return times


def _bulk(program: str, proxy: int, bulk: int) -> Iterator[Row]:
    times = race(_contenders(program, proxy, bulk, "mebibytes"), MEBIBYTES, 0.1, BULK_ROUNDS, SECONDS)
    for way, least in (("blocking", OWN), ("nonblocking", RELAYED)):
        ours = 1 / times.ratio(way)
        what = f"{MEBIBYTES} MiB each way, sealed {way}: throughput / hand-written client's"
        verdict = timed(ours >= least, times.control, max(abs(ours - least), 0.1))
        yield Row(what, f"{ours:.2f}", f"at least {least:g}", f"{times.control:.2f}", "", verdict)


def _pause(program: str, proxy: int, bulk: int) -> Row:
    """A getpeername(2) that the supervisor answers, while it relays four streams, and while it relays none."""
    times = race(_contenders(program, proxy, bulk, "queries"), QUERIES, 1.0, QUERY_ROUNDS, SECONDS)
    ours, alone, other = (median(times.rounds[name]) * 1000 for name in ("nonblocking", "blocking", BASELINE))
    return Row(
        "a query of the supervisor while it relays four streams: 99th percentile, ms",
        f"{ours:.2f}",
        f"at most {PAUSE_MS:g}",
        f"{times.control:.2f}",
        f"while the streams need no relay {alone:.2f}, another process {other:.2f}",
        _on_the_clock(ours <= PAUSE_MS),
    )


def _on_the_clock(met: bool) -> Verdict:
    """The verdict on a time that is compared with a number: others' work can spoil it, not make it."""
    return Verdict.UNCLEAR if not met and load.others() > load.BEARABLE else counted(met)
