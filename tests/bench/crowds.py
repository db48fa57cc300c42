"""What happens to an event loop when a thousand, and five thousand, connects are under way at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import median

from tests.bench import load, programs
from tests.bench.programs import Worker
from tests.bench.table import Row, Verdict, timed

DELAY = 0.2
PEER = "python-socks"
MANY, MORE = 1000, 5000
ROUNDS, COST_ROUNDS = 5, 2
WALL, LATE, COST = 3, 1.5, 1.2

# Which contender connects how many at once.
THOUSANDS = {
    "one": ("ours", 1),
    "many": ("ours", MANY),
    "native": ("native", MANY),
    "peer": (PEER, MANY),
    "many again": ("ours", MANY),
    "native again": ("native again", MANY),
}
FIVE_THOUSANDS = {
    "many": ("ours", MANY),
    "more": ("ours", MORE),
    "many again": ("ours", MANY),
    "native": ("native", MANY),
    "native more": ("native", MORE),
}

Rounds = Mapping[str, list[Mapping[str, float]]]


def rows() -> Iterator[Row]:
    slow = programs.python("slow_proxy", "--delay", DELAY)
    with (
        programs.listening(programs.python("target", "echo")) as target,
        programs.listening(slow) as proxy,
    ):
        native, peer = (programs.python("crowd", way, proxy, target) for way in ("plain", PEER))
        ours = programs.socksified(native, proxy, target)
        contenders = {"native": native, "native again": native, "ours": ours, PEER: peer}
        with programs.workers(contenders) as started:
            before = load.others()
            many = _rounds(started, THOUSANDS, ROUNDS)
            others = max(before, load.others())
            yield _wall(many, others)
            yield _late(many, others)
            yield _cost(_rounds(started, FIVE_THOUSANDS, COST_ROUNDS))


def _rounds(started: Mapping[str, Worker], blocks: Mapping[str, tuple[str, int]], count: int) -> Rounds:
    """Blocks in turn, so that all see the same machine. The first round is for warming up."""
    rounds: dict[str, list[Mapping[str, float]]] = {name: [] for name in blocks}
    for _ in range(count + 1):
        for name, (contender, size) in blocks.items():
            # The proxy has the connections of the block before to close; when it serves this one it has.
            started["ours"].block(1)
            rounds[name].append(started[contender].block(size))
    return {name: figures[1:] for name, figures in rounds.items()}


def _ratio(rounds: Rounds, name: str, other: str, figure: str) -> float:
    pairs = zip(rounds[name], rounds[other], strict=True)
    return median(one[figure] / two[figure] for one, two in pairs)


def _beside(others: float, met: bool, control: float, margin: float) -> Verdict:
    """The verdict where a busy proxy runs beside the client, and none beside what it is compared with.

    Others' work takes the proxy's processor, which counts against us alone: it can spoil a result, not make one.
    """
    if not met and others > load.BEARABLE:
        return Verdict.UNCLEAR
    return timed(met, control, margin)


def _wall(rounds: Rounds, others: float) -> Row:
    ours = _ratio(rounds, "many", "one", "seconds")
    control = _ratio(rounds, "many again", "many", "seconds")
    one = median(figures["seconds"] for figures in rounds["one"])
    return Row(
        f"{MANY:,} asyncio connects at once, the proxy thinks {DELAY:g} s twice: time / that of one ({one:.2f} s)",
        f"{ours:.2f}",
        f"at most {WALL}",
        f"{control:.2f}, others use {others:.1f} processors",
        f"{PEER} {_ratio(rounds, 'peer', 'one', 'seconds'):.2f}",
        _beside(others, ours <= WALL, control, WALL - 1),
    )


def _late(rounds: Rounds, others: float) -> Row:
    ours = _ratio(rounds, "many", "native", "late")
    control = _ratio(rounds, "native again", "native", "late")
    native = median(figures["late"] for figures in rounds["native"])
    return Row(
        f"the same: a 10 ms ticker's worst delay / that of {MANY:,} native connects ({native * 1000:.0f} ms)",
        f"{ours:.2f}",
        f"at most {LATE}",
        f"{control:.2f}, others use {others:.1f} processors",
        f"{PEER} {_ratio(rounds, 'peer', 'native', 'late'):.2f}",
        _beside(others, ours <= LATE, control, LATE - 1),
    )


def _cost(rounds: Rounds) -> Row:
    """In the process's own time: on the clock, most is waiting, and shared by more of them."""
    scale = MANY / MORE
    ours = _ratio(rounds, "more", "many", "processor") * scale
    native = _ratio(rounds, "native more", "native", "processor") * scale
    control = _ratio(rounds, "many again", "many", "processor")
    return Row(
        f"{MORE:,} at once: processor time of each / of each of {MANY:,}",
        f"{ours:.2f}",
        f"at most {COST}",
        f"{control:.2f}",
        f"native {native:.2f}",
        timed(ours <= COST, control, COST - 1),
    )
