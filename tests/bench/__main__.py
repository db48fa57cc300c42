"""`make bench`: measures everything, and prints one table.

    python -m tests.bench [counts] [races] [crowds] [startups] [hooks] [lookups] [relaying] [seals]
        [sealed_loops]

Each row appears on stderr when it is done; the table, in Markdown, is the only thing on stdout. The exit status is 1
when a requirement is missed or could not be measured at all. A time whose control is off is inconclusive, and neither.
"""

from __future__ import annotations

import sys
from time import monotonic

import pytest

from tests.bench import counts, crowds, hooks, lookups, races, relaying, sealed_loops, seals, startups
from tests.bench.table import Row, Verdict, markdown

MODULES = (counts, races, crowds, startups, hooks, lookups, relaying, seals, sealed_loops)
PARTS = {part.__name__.rpartition(".")[2]: part.rows for part in MODULES}


def measured(name: str) -> list[Row]:
    """The rows of one part; a last one that says so when a program is missing, raised by `tests.support.processes`."""
    rows: list[Row] = []
    began = monotonic()
    try:
        for row in PARTS[name]():
            print(f"{monotonic() - began:4.0f} s  {row.what}: {row.ours} ({row.verdict.value})", file=sys.stderr)
            rows.append(row)
    except (pytest.skip.Exception, pytest.fail.Exception) as missing:
        rows.append(Row(name, "", "", "", str(missing), Verdict.ABSENT))
    return rows


def main() -> int:
    rows = [row for name in sys.argv[1:] or PARTS for row in measured(name)]
    print(markdown(rows))
    return 1 if any(row.verdict.fails for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
