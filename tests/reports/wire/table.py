"""The README's table of who leaks what: its cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tests.reports import tables

NAME = "wire"


def cell(verdicts: Iterable[str]) -> str:
    """What became of a row's clients: the worst first, with numbers where they differ."""
    counted = Counter(verdicts)
    if len(counted) == 1:
        return emphasized(*counted)
    return ", ".join(f"{emphasized(verdict)} ({number})" for verdict, number in sorted(counted.items(), key=_badness))


def _badness(counted: tuple[str, int]) -> tuple[int, str]:
    verdict = counted[0]
    return ["LEAKS", "breaks", "differs", "refused", "ok"].index(verdict.split()[0]), verdict


def emphasized(verdict: str) -> str:
    return f"**{verdict}**" if verdict.startswith("LEAKS") else verdict


def markdown(columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> str:
    """A line for each row: what it is, and its cells."""
    return tables.markdown(("the client uses", *columns), ((what, *cells) for what, cells in rows.items()))
