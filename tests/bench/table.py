"""What is printed: one row a measurement, as a table of Markdown that the README can take as it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from tests.bench.interleaved import settled


class Verdict(Enum):
    MET = "met"
    MISSED = "**missed**"
    # The control was too far from 1 for the result to count.
    UNCLEAR = "inconclusive"
    # What it needs is not on this machine.
    ABSENT = "**not measured**"
    NONE = "-"

    @property
    def fails(self) -> bool:
        return self in (Verdict.MISSED, Verdict.ABSENT)


@dataclass(frozen=True)
class Row:
    what: str
    ours: str
    required: str
    control: str
    peers: str
    verdict: Verdict


def counted(met: bool) -> Verdict:
    """A count has no noise."""
    return Verdict.MET if met else Verdict.MISSED


def timed(met: bool, control: float, margin: float) -> Verdict:
    """A time counts only when its control is within half the margin."""
    return counted(met) if settled(control, margin) else Verdict.UNCLEAR


def markdown(rows: Iterable[Row]) -> str:
    cells = [("what", "ours", "required", "A/A control", "peers", "verdict"), ("---",) * 6]
    cells += [(row.what, row.ours, row.required, row.control, row.peers, row.verdict.value) for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)
