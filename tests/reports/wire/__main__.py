"""`make wire`: runs every client natively, under socksify and under its peers, and writes who leaks into the README.

    python -m tests.reports.wire [PART OF A COMMAND]...

With arguments only the clients that have one of them in their command are run; what each did is told at length, and
the README is left alone. On another Python than the table's our own columns alone are made, and compared with it; the
exit status is 1 if any cell differs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from tests.reports import reruns, tables
from tests.reports.wire import table
from tests.reports.wire.matrix import ROWS, Case, cases
from tests.reports.wire.runs import run
from tests.reports.wire.ways import Way, natively, ours, peers
from tests.support.network.recorded import RecordedNetwork, recorded_network


def told(network: RecordedNetwork, ways: list[Way], parts: list[str]) -> None:
    """Runs the clients that are asked for, and tells what each did."""
    for case in cases():
        if any(part in case.command for part in parts):
            native = run(network, natively(), case)
            print(f"\n{case.command}\n-- natively: {native.story}")
            for way in ways:
                ended = run(network, way, case)
                print(f"-- {way.name}: {ended.verdict(native)}, {ended.story}")


def tabled(network: RecordedNetwork, ways: list[Way]) -> dict[str, list[str]]:
    """Runs all clients; the cells of each row."""
    rows = {}
    for row in ROWS:
        print(row.what, file=sys.stderr)
        verdicts = [_verdicts(network, ways, case) for case in row.cases]
        rows[row.what] = [table.cell(column) for column in zip(*verdicts, strict=True)]
    return rows


def compared(network: RecordedNetwork, ways: list[Way]) -> list[str]:
    """Runs all clients in our own ways, and writes into the README what differs from its table."""
    written = {line[0]: line[1 : 1 + len(ways)] for line in tables.rows(tables.read(table.NAME))}
    return reruns.record(table.NAME, written, tabled(network, ways))


def _verdicts(network: RecordedNetwork, ways: list[Way], case: Case) -> list[str]:
    native = run(network, natively(), case)
    return [run(network, way, case).verdict(native) for way in ways]


def _versions() -> str:
    query = ["dpkg-query", "--show", "--showformat", "${Package} ${Version}, ", "proxychains4", "torsocks"]
    debian = subprocess.run(query, check=True, capture_output=True, text=True).stdout
    return f"Run with {debian}PySocks {version('PySocks')} on Python {sys.version.split()[0]}.\n"


def main() -> int:
    with tempfile.TemporaryDirectory() as directory, recorded_network() as network:
        own = [ours(strict=False), ours(strict=True)]
        ways = [*own, *peers(Path(directory))]
        if sys.argv[1:]:
            told(network, ways, sys.argv[1:])
        elif reruns.is_first(table.NAME):
            text = table.markdown([way.name for way in ways], tabled(network, ways))
            tables.write(table.NAME, f"{text}\n{_versions()}")
            print(text)
        else:
            differing = compared(network, own)
            print(*differing, sep="\n")
            return int(bool(differing))
    return 0


if __name__ == "__main__":
    sys.exit(main())
