"""`make wire`: runs every client natively, under socksify and under its peers, and writes the table of leaks.

    python -m tests.reports.wire [PART OF A COMMAND]...

With arguments, only the clients whose command contains one of them are run. Each run is described at length, and the
README is not changed. On another Python than the table's, only socksify's own columns are made and compared with the
table; the exit status is 1 if any cell differs.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.reports import launchers, reruns, versions
from tests.reports.client_runs import run
from tests.reports.launchers import Launcher
from tests.reports.wire.matrix import ROWS, Case, cases
from tests.reports.wire.table import OWN_COLUMNS, TABLE, cell
from tests.support.network.recorded import RecordedNetwork, recorded_network


def describe(network: RecordedNetwork, chosen: list[Launcher], parts: list[str]) -> None:
    """Run the clients whose command contains one of `parts`, and print what each did."""
    for case in cases():
        if any(part in case.command for part in parts):
            native = run(network, launchers.python(), case.command)
            print(f"\n{case.command}\n-- natively: {native.story}")
            for launcher in chosen:
                ended = run(network, launcher, case.command, case.imported_early)
                print(f"-- {launcher.name}: {ended.verdict(native)}, {ended.story}")


def make_rows(network: RecordedNetwork, chosen: list[Launcher]) -> dict[str, list[str]]:
    """Run all clients. Return the cells of each row, one for each launcher."""
    rows = {}
    for row in ROWS:
        print(row.what, file=sys.stderr)
        verdicts = [_verdicts(network, chosen, case) for case in row.cases]
        rows[row.what] = [cell(column) for column in zip(*verdicts, strict=True)]
    return rows


def _verdicts(network: RecordedNetwork, chosen: list[Launcher], case: Case) -> list[str]:
    native = run(network, launchers.python(), case.command)
    return [run(network, launcher, case.command, case.imported_early).verdict(native) for launcher in chosen]


def main() -> int:
    with tempfile.TemporaryDirectory() as directory, recorded_network() as network:
        own = launchers.own()
        every = [*own, *launchers.peers(Path(directory))]
        if sys.argv[1:]:
            describe(network, every, sys.argv[1:])
            return 0
        if reruns.writes_table(TABLE):
            rows = make_rows(network, every)
            note = versions.note(packages=("proxychains4", "torsocks"), libraries=("PySocks",))
            print(TABLE.write(([what, *cells] for what, cells in rows.items()), note))
            return 0
        written = {what: cells[: len(OWN_COLUMNS)] for what, cells in TABLE.rows().items()}
        return reruns.record(TABLE, written, make_rows(network, own))


if __name__ == "__main__":
    sys.exit(main())
