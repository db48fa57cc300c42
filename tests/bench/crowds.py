"""What happens to an event loop when a thousand, and five thousand, connects are under way at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import median

from tests.bench import programs
from tests.bench.programs import Worker
from tests.bench.table import Row, timed

DELAY = 0.2
MANY, MORE = 1000, 5000
ROUNDS = 5
WALL, LATE, COST = 3, 1.5, 1.2

Rounds = Mapping[str, list[Mapping[str, float]]]


def rows() -> Iterator[Row]:
    slow = programs.python("slow_proxy", "--delay", DELAY)
    with (
        programs.listening(programs.python("target", "echo")) as target,
        programs.listening(slow) as proxy,
    ):
        native = programs.python("crowd", target)
        contenders = {"native": native, "native again": native, "ours": programs.socksified(native, proxy, target)}
        with programs.workers(contenders) as started:
            rounds = _rounds(started)
    yield _wall(rounds)
    yield _late(rounds)
    yield _cost(rounds)


def _rounds(started: Mapping[str, Worker]) -> Rounds:
    """In turn, so that all see the same machine. The first of all is for warming up."""
    blocks = {
        "one": ("ours", 1),
        "many": ("ours", MANY),
        "native": ("native", MANY),
        "many again": ("ours", MANY),
        "native again": ("native again", MANY),
        "more": ("ours", MORE),
        "native more": ("native", MORE),
    }
    rounds: dict[str, list[Mapping[str, float]]] = {name: [] for name in blocks}
    for _ in range(ROUNDS + 1):
        for name, (contender, count) in blocks.items():
            rounds[name].append(started[contender].block(count))
    return {name: figures[1:] for name, figures in rounds.items()}


def _ratio(rounds: Rounds, name: str, other: str, figure: str) -> float:
    pairs = zip(rounds[name], rounds[other], strict=True)
    return median(one[figure] / two[figure] for one, two in pairs)


def _wall(rounds: Rounds) -> Row:
    ours = _ratio(rounds, "many", "one", "seconds")
    control = _ratio(rounds, "many again", "many", "seconds")
    one = median(figures["seconds"] for figures in rounds["one"])
    return Row(
        f"{MANY:,} asyncio connects at once, the proxy thinks {DELAY:g} s twice: time / that of one ({one:.2f} s)",
        f"{ours:.2f}",
        f"at most {WALL}",
        f"{control:.2f}",
        "",
        timed(ours <= WALL, control, WALL - 1),
    )


def _late(rounds: Rounds) -> Row:
    ours = _ratio(rounds, "many", "native", "late")
    control = _ratio(rounds, "native again", "native", "late")
    native = median(figures["late"] for figures in rounds["native"])
    return Row(
        f"the same: a 10 ms ticker's worst delay / that of {MANY:,} native connects ({native * 1000:.0f} ms)",
        f"{ours:.2f}",
        f"at most {LATE}",
        f"{control:.2f}",
        "",
        timed(ours <= LATE, control, LATE - 1),
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
