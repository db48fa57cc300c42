"""`make loops`: runs every loop natively, launched and installed late, and writes into the README what came of it.

On another Python than the table's the cells are compared with it; the exit status is 1 if any differ.
"""

from __future__ import annotations

import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from tests.reports import reruns
from tests.reports.loops.matrix import COLUMNS, ROWS, RUNNABLE, TABLE, cells
from tests.reports.loops.places import Place, served
from tests.reports.tables import markdown, read, rows, write

LIBRARIES = ("uvloop", "trio", "anyio", "curio", "gevent", "eventlet", "tornado", "twisted")


def _row(row: str, place: Place) -> list[str]:
    sys.stderr.write(f"{row}\n")
    return cells(row, place)


def main() -> int:
    with tempfile.TemporaryDirectory() as directory, served(Path(directory)) as place:
        made = {row: _row(row, place) for row in RUNNABLE}
    if not reruns.is_first(TABLE):
        differing = reruns.record(TABLE, {line[0]: line[1:] for line in rows(read(TABLE))}, made)
        sys.stdout.writelines(f"{line}\n" for line in differing)
        return int(bool(differing))
    text = markdown(("the loop", *COLUMNS), ([row, *made[row]] for row in ROWS))
    versions = ", ".join(f"{library} {version(library)}" for library in LIBRARIES)
    write(TABLE, f"{text}\nRun with {versions} on Python {sys.version.split()[0]}.\n")
    sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
