"""The README's table of CPython's own tests: a line for each Python, written from a run, read by a test."""

from __future__ import annotations

import platform
from collections.abc import Iterable

from tests.reports.conformance.comparing import Comparison
from tests.reports.conformance.limits import LIMITS
from tests.support.paths import README

BEGIN, END = "<!-- conformance: begin -->\n", "<!-- conformance: end -->\n"
COLUMNS = (
    "Python",
    "modules",
    "tests",
    "connections through danted",
    "fail natively, too",
    "SOCKS cannot",
    "fail under socksify alone",
)


def row(comparisons: Iterable[Comparison], connections: int) -> tuple[str, ...]:
    """What the running interpreter's modules came to."""
    ran = [each for each in comparisons if each.ran]
    bad = [(len(each.native), len(each.excepted), len(each.only_ours)) for each in ran]
    tests = sum(len(each.ran) for each in ran)
    return (platform.python_version(), *map(str, (len(ran), tests, connections, *map(sum, zip(*bad, strict=True)))))


def rows(text: str) -> list[tuple[str, ...]]:
    """The lines below the heading."""
    lines = [line for line in text.splitlines() if line.startswith("| 3")]
    return [tuple(word.strip() for word in line.strip("|").split("|")) for line in lines]


def markdown(lines: Iterable[tuple[str, ...]]) -> str:
    """The table, and what SOCKS cannot."""
    table = "".join(f"| {' | '.join(line)} |\n" for line in (COLUMNS, ("---",) * len(COLUMNS), *lines))
    return f"{table}\nWhat SOCKS cannot:\n\n" + "".join(f"- {limit.what}.\n" for limit in LIMITS)


def read() -> str:
    """What stands in the README."""
    return README.read_text().split(BEGIN)[1].split(END)[0]


def write(line: tuple[str, ...]) -> None:
    """Puts a line into the README, in the place of that for the same minor version."""
    others = [each for each in rows(read()) if _minor(each) != _minor(line)]
    text = markdown(sorted([*others, line], key=_minor))
    before, rest = README.read_text().split(BEGIN)
    README.write_text(f"{before}{BEGIN}{text}{END}{rest.split(END)[1]}")


def _minor(line: tuple[str, ...]) -> int:
    return int(line[0].split(".")[1])
