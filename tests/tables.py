"""Tables that stand in the README between two comments: written from a run, read by tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


class Table:
    """The one between `<!-- NAME: begin -->` and `<!-- NAME: end -->`."""

    def __init__(self, name: str) -> None:
        self._begin, self._end = (f"<!-- {name}: {edge} -->\n" for edge in ("begin", "end"))

    def read(self) -> str:
        """What stands in the README."""
        return README.read_text().split(self._begin)[1].split(self._end)[0]

    def write(self, text: str) -> None:
        """Puts this into the README in its place."""
        before, rest = README.read_text().split(self._begin)
        README.write_text(f"{before}{self._begin}{text}{self._end}{rest.split(self._end)[1]}")


def markdown(what: str, columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> str:
    """A line for each row: what it is, and its cells."""
    lines = [(what, *columns), ("---",) * (len(columns) + 1)]
    lines += [(name, *cells) for name, cells in rows.items()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def rows(text: str) -> list[list[str]]:
    """The cells of such a table, line by line; the first line has the columns' names."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[word.strip() for word in line.strip("|").split(" | ")] for line in lines if not line.startswith("| ---")]
