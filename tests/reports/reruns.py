"""Compares a report made on another Python with the README's table, and records the result in the README.

The tables of loops, of leaks and of client libraries are written by the Python that the note below each of them names.
On any other Python the same program compares its cells with the table, and writes one line into the table of reruns.
"""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Mapping, Sequence

from tests.reports.tables import Line, Table, minor_version

RERUNS = Table("reruns", ("report", "Python", "rows", "with another result"))

Cells = Mapping[str, Sequence[str]]


def writes_table(table: Table) -> bool:
    """Whether the running Python is the one that writes this table."""
    found = re.search(r"on Python (\d+\.\d+)", table.text())
    return found is None or found[1] == ".".join(platform.python_version_tuple()[:2])


def record(table: Table, written: Cells, made: Cells) -> int:
    """Write the line of this report and this Python into the README, and print the differences.

    `written` has the cells of the README's rows, `made` those of this run. Return the exit status: 1 if any differ.
    """
    found = [f"{row}: {', '.join(cells)}" for row, cells in made.items() if list(written[row]) != list(cells)]
    RERUNS.replace_line([table.name, platform.python_version(), str(len(made)), "; ".join(found) or "none"], _key)
    sys.stdout.writelines(f"{difference}\n" for difference in found)
    return int(bool(found))


def _key(line: Line) -> tuple[str, int]:
    return line[0], minor_version(line[1])
