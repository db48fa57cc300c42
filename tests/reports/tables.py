"""Tables of the README: a report writes one from its run, and a test reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.paths import README

Line = Sequence[str]


@dataclass(frozen=True)
class Table:
    """A table between two markers with its name; a note below the table is inside the markers too.

    A line is the sequence of its cells. The first cell names the row.
    """

    name: str
    columns: tuple[str, ...]

    def text(self) -> str:
        """Return the text between the markers."""
        begin, end = self._markers
        return README.read_text().split(begin)[1].split(end)[0]

    def heading(self) -> list[str]:
        return _cells(self.text())[0]

    def lines(self) -> list[list[str]]:
        """Return the lines below the heading."""
        return _cells(self.text())[1:]

    def rows(self) -> dict[str, list[str]]:
        """Return the cells of each row, without the first, by the first."""
        return {line[0]: line[1:] for line in self.lines()}

    def markdown(self, lines: Iterable[Line], note: str = "") -> str:
        """Return the table with these lines, and `note` after an empty line."""
        table = "".join(f"| {' | '.join(line)} |\n" for line in (self.columns, ("---",) * len(self.columns), *lines))
        return f"{table}\n{note}\n" if note else table

    def write(self, lines: Iterable[Line], note: str = "") -> str:
        """Replace the table in the README, and return the new text."""
        begin, end = self._markers
        before, rest = README.read_text().split(begin)
        text = self.markdown(lines, note)
        README.write_text(f"{before}{begin}{text}{end}{rest.split(end)[1]}")
        return text

    def replace_line(self, line: Line, key: Callable[[Line], Any], note: str = "") -> None:
        """Put `line` in the place of the line with the same key. Lines are sorted by the key."""
        others = [each for each in self.lines() if key(each) != key(line)]
        self.write(sorted([*others, line], key=key), note)

    @property
    def _markers(self) -> tuple[str, str]:
        return f"<!-- {self.name}: begin -->\n", f"<!-- {self.name}: end -->\n"


def minor_version(version: str) -> int:
    """The minor version in a Python version: 11 for 3.11.7."""
    return int(version.split(".")[1])


def _cells(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[word.strip() for word in line.strip("|").split(" | ")] for line in lines if not line.startswith("| ---")]
