"""What our server is measured against: microsocks, danted, `ssh -D` and pproxy, side by side in one run.

All take turns, in another order each round, and what we are compared with is there twice: the second is the control.
A ratio is the median of those within each round.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median

from tests.bench import programs, proxies
from tests.bench.counting import attached
from tests.bench.proxies import Proxy
from tests.bench.table import Row, Verdict, counted, timed

# Counts of one block, and how many rounds. All connections together stay below what a minute's TIME_WAIT leaves of the
# ephemeral ports, of which each takes two.
CONNECTIONS, CONNECTION_ROUNDS = 128, 12
MEBIBYTES, BULK_ROUNDS = {"stream": 256, "streams": 32}, 7
TRIPS, TRIP_ROUNDS = 300, 9
IDLE = 5000
# Descriptors a server may have, of which an idle connection takes two.
IDLE_KIB = 1.0
# Blocks of fewer mebibytes, of those that would take minutes.
SLOW = {"pproxy": 4, "ssh -D": 4, "microsocks": 2}


@dataclass
class Used:
    """Of each round: seconds by the clock, and of the processor."""

    clock: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)


Figures = Mapping[str, Used]


def rows() -> Iterator[Row]:
    with (
        programs.listening(programs.python("target", "echo")) as echo,
        programs.listening(programs.python("target", "bulk")) as bulk,
    ):
        for what, words in (("stream", "1 stream"), ("streams", "8 streams")):
            with proxies.running("ours", "danted", "danted again", "microsocks", "ssh -D", "pproxy") as found:
                figures = _taken(found, bulk, what, MEBIBYTES[what], BULK_ROUNDS)
            yield _faster(f"bulk, {words} there and back: throughput / danted's", figures, "danted", 1.3)
            yield _cheaper(f"bulk, {words}: processor time / danted's", figures, "danted", 0.7)
        for what, words in (("one", "one after another"), ("many", "64 at once")):
            names = ("ours", "microsocks", "microsocks again", "a bare loop", "danted", "ssh -D", "pproxy")
            with proxies.running(*names) as found:
                figures = _taken(found, echo, what, CONNECTIONS, CONNECTION_ROUNDS)
            yield _faster(f"connections, {words}: rate / microsocks'", figures, "microsocks", 0.9)
            yield _cheaper(f"connections, {words}: processor time / microsocks'", figures, "microsocks", 1.1)
        yield _counted(echo)
        yield _idle(echo)
        yield _latency(echo, bulk)


def _taken(found: Mapping[str, Proxy], target: int, what: str, count: int, rounds: int) -> Figures:
    order = random.Random(0)
    used = {name: Used() for name in found}
    loads = {name: programs.python("proxy_load", proxy.port, target, what) for name, proxy in found.items()}
    with programs.workers(loads) as started:
        for number in range(rounds + 1):
            for name in order.sample([*found], len(found)):
                share = SLOW.get(name.removesuffix(" again"), 1) if what.startswith("stream") else 1
                before = found[name].processor()
                seconds = started[name].block(count // share)["seconds"] * share
                # The first round is for warming up.
                if number:
                    used[name].clock.append(seconds)
                    used[name].processor.append((found[name].processor() - before) * share)
    return used


def _ratio(figures: Figures, name: str, other: str) -> float:
    """A server's time over another's."""
    return median(one / two for one, two in zip(figures[name].clock, figures[other].clock, strict=True))


def _share(figures: Figures, name: str, other: str) -> float:
    """A server's processor time over another's. It comes in hundredths of a second, too coarse for one block."""
    return sum(figures[name].processor) / max(sum(figures[other].processor), 0.01)


def _faster(what: str, figures: Figures, peer: str, least: float) -> Row:
    ours, control = 1 / _ratio(figures, "ours", peer), _ratio(figures, f"{peer} again", peer)
    others = {name: 1 / _ratio(figures, name, peer) for name in figures if name not in ("ours", peer, f"{peer} again")}
    # What is met by far is met on a noisy machine, too.
    margin = max(abs(ours - least), 0.1)
    return _row(what, ours, f"at least {least}", control, others, timed(ours >= least, control, margin))


def _cheaper(what: str, figures: Figures, peer: str, most: float) -> Row:
    ours, control = _share(figures, "ours", peer), _share(figures, f"{peer} again", peer)
    others = {name: _share(figures, name, peer) for name in figures if name not in ("ours", peer, f"{peer} again")}
    margin = max(abs(ours - most), 0.1)
    return _row(what, ours, f"at most {most}", control, others, timed(ours <= most, control, margin))


def _row(what: str, ours: float, required: str, control: float, others: Mapping[str, float], verdict: object) -> Row:
    peers = ", ".join(f"{name} {ratio:.2f}" for name, ratio in others.items())
    return Row(what, f"{ours:.2f}", required, f"{control:.2f}", peers, verdict)  # type: ignore[arg-type]


def _counted(echo: int) -> Row:
    """The system calls of a connection: those that all need, to the two sockets and back, and those that ours adds."""
    calls = {}
    with proxies.running("ours", "microsocks", "a bare loop", "danted") as found:
        for name, proxy in found.items():
            load = programs.python("proxy_load", proxy.port, echo, "one")
            with programs.workers({name: load}) as workers:
                workers[name].block(CONNECTIONS)
                with attached(proxy.pid) as made:
                    workers[name].block(CONNECTIONS)
                calls[name] = sum(made.values()) / CONNECTIONS
    peers = ", ".join(f"{name} {calls[name]:.1f}" for name in calls if name != "ours")
    what = "connections, one after another: system calls of each"
    return Row(what, f"{calls['ours']:.1f}", "", "counted", peers, Verdict.NONE)


def _idle(echo: int) -> Row:
    """KiB for each idle connection; fewer of those that need a process or a thread each."""
    counts = {"ours": IDLE, "microsocks": IDLE // 5, "pproxy": IDLE // 5, "danted": IDLE // 50}
    found = {}
    with proxies.running(*counts) as started:
        for name, count in counts.items():
            load = programs.python("proxy_load", started[name].port, echo, "hold")
            with programs.workers({name: load}) as workers:
                # What the first ones make it allocate is not theirs.
                workers[name].block(count // 50)
                before = started[name].memory()
                workers[name].block(count)
                found[name] = (started[name].memory() - before) / (count - count // 50)
    peers = ", ".join(f"{name} {found[name]:.1f}" for name in counts if name != "ours")
    ours = found["ours"]
    what = f"{IDLE:,} idle connections: KiB resident each"
    return Row(what, f"{ours:.2f}", f"at most {IDLE_KIB:g}", "counted", peers, counted(ours <= IDLE_KIB))


def _latency(echo: int, bulk: int) -> Row:
    with proxies.running("ours", "microsocks", "microsocks again", "danted", "pproxy") as found:
        figures = {name: Used() for name in found}
        loads = {name: programs.python("proxy_load", proxy.port, echo, "trips") for name, proxy in found.items()}
        for _ in range(TRIP_ROUNDS):
            for name, proxy in found.items():
                with programs.workers({name: loads[name]}) as workers, _busy(proxy, bulk):
                    figures[name].clock.append(workers[name].block(TRIPS)["seconds"])
    ours, control = (_ratio(figures, name, "microsocks") for name in ("ours", "microsocks again"))
    others = {name: _ratio(figures, name, "microsocks") for name in ("danted", "pproxy")}
    what = "one byte there and back while bulk goes through: 99th percentile / microsocks'"
    verdict = timed(ours <= 1.5, control, max(abs(ours - 1.5), 0.1))
    return _row(what, ours, "at most 1.5", control, others, verdict)


@contextlib.contextmanager
def _busy(proxy: Proxy, bulk: int) -> Iterator[None]:
    """Moves mebibytes through a server for the length of the block."""
    over = threading.Event()
    with programs.workers({"bulk": programs.python("proxy_load", proxy.port, bulk, "streams")}) as workers:
        workers["bulk"].block(1)

        def move() -> None:
            while not over.is_set():
                workers["bulk"].block(4)

        mover = threading.Thread(target=move)
        mover.start()
        try:
            yield
        finally:
            over.set()
            mover.join()
