"""The README's table of who leaks what: written from a run, read by a test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- wire: begin -->\n", "<!-- wire: end -->\n"


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
    """A line for each row: what it is, and its cells."""
    lines = [("the client uses", *columns), ("---",) * (len(columns) + 1)]
    lines += [(what, *cells) for what, cells in rows.items()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def rows(text: str) -> list[list[str]]:
    """The cells of such a table, line by line; the first line has the columns' names."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[word.strip() for word in line.strip("|").split(" | ")] for line in lines if not line.startswith("| ---")]


def read() -> str:
    """What stands in the README."""
    return README.read_text().split(BEGIN)[1].split(END)[0]


def write(text: str) -> None:
    """Puts this into the README in its place."""
    before, rest = README.read_text().split(BEGIN)
    README.write_text(f"{before}{BEGIN}{text}{END}{rest.split(END)[1]}")
