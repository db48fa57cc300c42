"""Tables in the README, between markers with a name: written from a run, read by a test."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.support.paths import README


def markdown(heading: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table; a line is its cells."""
    return "".join(f"| {' | '.join(line)} |\n" for line in (heading, ("---",) * len(heading), *lines))


def rows(text: str) -> list[list[str]]:
    """The cells of such a table, line by line; the first line has the columns' names."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[word.strip() for word in line.strip("|").split(" | ")] for line in lines if not line.startswith("| ---")]


def read(name: str) -> str:
    """What stands in the README between the markers of that name."""
    begin, end = _markers(name)
    return README.read_text().split(begin)[1].split(end)[0]


def write(name: str, text: str) -> None:
    """Puts this into the README in its place."""
    begin, end = _markers(name)
    before, rest = README.read_text().split(begin)
    README.write_text(f"{before}{begin}{text}{end}{rest.split(end)[1]}")


def _markers(name: str) -> tuple[str, str]:
    return f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
