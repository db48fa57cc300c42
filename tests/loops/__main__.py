"""`make loops`: runs every loop natively, launched and installed late, and writes into the README what came of it."""

from __future__ import annotations

import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from tests.loops.matrix import COLUMNS, ROWS, TABLE, cells
from tests.loops.places import Place, served
from tests.tables import markdown, write

LIBRARIES = ("uvloop", "trio", "anyio", "curio", "gevent", "eventlet", "tornado", "twisted")


def _row(row: str, place: Place) -> list[str]:
    sys.stderr.write(f"{row}\n")
    return cells(row, place)


def main() -> None:
    with tempfile.TemporaryDirectory() as directory, served(Path(directory)) as place:
        text = markdown(("the loop", *COLUMNS), ([row, *_row(row, place)] for row in ROWS))
    versions = ", ".join(f"{library} {version(library)}" for library in LIBRARIES)
    write(TABLE, f"{text}\nRun with {versions} on Python {sys.version.split()[0]}.\n")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
