"""A report that was written on one Python is made again on another one, and the README says whether anything differed.

The tables of loops, of leaks and of client libraries are written by the Python that they name. On any other Python
the same program compares its own cells with those, and writes one line into the table of reruns.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping, Sequence

from tests.reports import tables

TABLE = "reruns"
COLUMNS = ("report", "Python", "rows", "with another result")

Cells = Mapping[str, Sequence[str]]


def is_first(report: str) -> bool:
    """Whether the running Python is the one that writes the report's own table."""
    found = re.search(r"on Python (\d+\.\d+)", tables.read(report))
    return found is None or found[1] == ".".join(platform.python_version_tuple()[:2])


def differences(written: Cells, made: Cells) -> list[str]:
    """The rows that came out in another way than the README says, and how."""
    return [f"{row}: {', '.join(cells)}" for row, cells in made.items() if list(written[row]) != list(cells)]


def record(report: str, written: Cells, made: Cells) -> list[str]:
    """Write the line of this report and this Python into the README; returns what differed."""
    found = differences(written, made)
    version = platform.python_version()
    line = [report, version, str(len(made)), "; ".join(found) or "none"]
    others = [each for each in tables.rows(tables.read(TABLE))[1:] if _key(each) != _key(line)]
    tables.write(TABLE, tables.markdown(COLUMNS, sorted([*others, line], key=_key)))
    return found


def _key(line: Sequence[str]) -> tuple[str, int]:
    """The report and the minor version."""
    return line[0], int(line[1].split(".")[1])
