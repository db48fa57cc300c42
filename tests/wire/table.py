"""The README's table of who leaks what: written from a run, read by a test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tests import tables

TABLE = tables.Table("wire")


def cell(verdicts: Iterable[str]) -> str:
    """What became of a row's clients: the worst first, with numbers where they differ."""
    counted = Counter(verdicts)
    if len(counted) == 1:
        return _emphasized(*counted)
    return ", ".join(f"{_emphasized(verdict)} ({number})" for verdict, number in sorted(counted.items(), key=_badness))


def _badness(counted: tuple[str, int]) -> tuple[int, str]:
    verdict = counted[0]
    return ["LEAKS", "breaks", "differs", "refused", "ok"].index(verdict.split()[0]), verdict


def _emphasized(verdict: str) -> str:
    return f"**{verdict}**" if verdict.startswith("LEAKS") else verdict


def markdown(columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> str:
    """A line for each row: what its clients do, and their verdicts."""
    return tables.markdown("the client uses", columns, rows)
