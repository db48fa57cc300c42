"""Times that can be trusted on a noisy machine: blocks of all contenders take turns, and one contender is there twice.

The second baseline is the control: it differs from the first in nothing, so how far their ratio is from 1 shows what
the machine makes of equals. A ratio is the median of the ratios within each round, whose blocks ran side by side.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import monotonic

from tests.bench.programs import workers

BASELINE, CONTROL = "baseline", "baseline again"


@dataclass(frozen=True)
class Times:
    """What each contender's block took in each round, in seconds."""

    rounds: Mapping[str, Sequence[float]]

    def ratio(self, name: str) -> float:
        """A contender's time over that of the two baselines' mean."""
        baselines = zip(self.rounds[BASELINE], self.rounds[CONTROL], strict=True)
        pairs = zip(self.rounds[name], baselines, strict=True)
        return median(2 * time / (first + second) for time, (first, second) in pairs)

    @property
    def control(self) -> float:
        """One baseline over the other."""
        pairs = zip(self.rounds[CONTROL], self.rounds[BASELINE], strict=True)
        return median(second / first for second, first in pairs)


def settled(control: float, margin: float) -> bool:
    """Whether equals came out near enough to equal for a margin to mean something."""
    return abs(control - 1) <= margin / 2


def race(
    programs: Mapping[str, Sequence[str]], count: int, margin: float, rounds: tuple[int, int], seconds: float
) -> Times:
    """Run blocks of `count` in turn: the fewest rounds at least, then until the control is settled.

    Ends after the most rounds, or when `seconds` are over, whatever the control says. `programs` are the contenders'
    command lines, with one under BASELINE; the control is added.
    """
    until = monotonic() + seconds
    least, most = rounds
    order = random.Random(0)
    with workers({**programs, CONTROL: programs[BASELINE]}) as contenders:
        names = list(contenders)
        for name in names:
            contenders[name].block(1)
        taken: dict[str, list[float]] = {name: [] for name in names}
        times = Times(taken)
        for done in range(1, most + 1):
            # In another order each time: who comes first after a slow one is not always the same.
            order.shuffle(names)
            for name in names:
                taken[name].append(contenders[name].block(count)["seconds"])
            if monotonic() > until or (done >= least and settled(times.control, margin)):
                break
    return times
