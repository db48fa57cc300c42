"""`make loops`: runs every loop natively, launched and installed late, and writes the README's table of loops.

On another Python than the table's the cells are compared with the table; the exit status is 1 if any differ.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.reports import reruns, versions
from tests.reports.loops.matrix import ROWS, RUNNABLE, TABLE, cells
from tests.reports.loops.servers import Servers, serve

LIBRARIES = ("uvloop", "trio", "anyio", "curio", "gevent", "eventlet", "tornado", "twisted")


def _row(row: str, servers: Servers) -> list[str]:
    sys.stderr.write(f"{row}\n")
    return cells(row, servers)


def main() -> int:
    with tempfile.TemporaryDirectory() as directory, serve(Path(directory)) as servers:
        made = {row: _row(row, servers) for row in RUNNABLE}
    if not reruns.writes_table(TABLE):
        return reruns.record(TABLE, TABLE.rows(), made)
    sys.stdout.write(TABLE.write(([row, *made[row]] for row in ROWS), versions.note(libraries=LIBRARIES)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
