"""What is timed against a baseline: connections, bulk and an event loop's turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from tests.bench import programs
from tests.bench.interleaved import BASELINE, race
from tests.bench.table import Row, timed
from tests.support import servers

PEERS = ("PySocks", "python-socks")

# Blocks of this many connections. All together they stay below what a minute's TIME_WAIT leaves of the ephemeral
# ports, of which each connection takes two; danted binds before it connects, and so cannot share one.
CONNECTIONS = 25
CONNECTION_ROUNDS = (48, 64)
# Blocks of this many MiB each way, and as many of them as make 1 GiB.
MEBIBYTES = 64
BULK_ROUNDS = (16, 48)
ROUND_TRIPS = 1000
ROUND_TRIP_ROUNDS = (30, 200)

Start = Callable[[], AbstractContextManager[servers.Server]]


def rows() -> Iterator[Row]:
    with (
        programs.listening(programs.python("target", "echo")) as echo,
        programs.listening(programs.python("target", "bulk")) as bulk,
    ):
        for start in (servers.danted, servers.microsocks):
            yield from _through(start, echo, bulk)


def _through(start: Start, echo: int, bulk: int) -> Iterator[Row]:
    with start() as proxy:
        yield _connections(proxy, echo)
        yield _bulk(proxy, bulk)
        if proxy.name == "microsocks":
            yield _loop(proxy, echo)


def _contenders(proxy: servers.Server, target: int, what: str) -> dict[str, programs.Argv]:
    plain = programs.python("client", "plain", proxy.port, target, what)
    return {
        BASELINE: programs.python("client", "baseline", proxy.port, target, what),
        "ours": programs.socksified(plain, proxy.port, target),
    }


def _connections(proxy: servers.Server, echo: int) -> Row:
    contenders = _contenders(proxy, echo, "connections")
    for way in PEERS:
        contenders[way] = programs.python("client", way, proxy.port, echo, "connections")
    limit = 1.15
    times = race(contenders, CONNECTIONS, limit - 1, CONNECTION_ROUNDS, 60)
    ours, peers = times.ratio("ours"), {way: times.ratio(way) for way in PEERS}
    return Row(
        f"connect, echo a byte, close, through {proxy.name}: time / baseline's",
        f"{ours:.2f}",
        f"at most {limit}, less than the peers",
        f"{times.control:.2f}",
        ", ".join(f"{way} {ratio:.2f}" for way, ratio in peers.items()),
        timed(ours <= limit and ours < min(peers.values()), times.control, limit - 1),
    )


def _bulk(proxy: servers.Server, bulk: int) -> Row:
    contenders = _contenders(proxy, bulk, "mebibytes")
    what = f"1 GiB each way through {proxy.name}: throughput / baseline's"
    return _speed(what, contenders, MEBIBYTES, 0.97, BULK_ROUNDS)


def _loop(proxy: servers.Server, echo: int) -> Row:
    loop = programs.python("echo_loop", echo)
    contenders = {BASELINE: loop, "ours": programs.socksified(loop, proxy.port, echo)}
    what = "asyncio echo, nothing pending: speed / unpatched"
    return _speed(what, contenders, ROUND_TRIPS, 0.96, ROUND_TRIP_ROUNDS)


def _speed(what: str, contenders: dict[str, programs.Argv], count: int, least: float, rounds: tuple[int, int]) -> Row:
    times = race(contenders, count, 1 - least, rounds, 60)
    ours = 1 / times.ratio("ours")
    verdict = timed(ours >= least, times.control, 1 - least)
    return Row(what, f"{ours:.3f}", f"at least {least}", f"{times.control:.3f}", "", verdict)
