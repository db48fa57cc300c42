"""The second half of `make wire`: runs programs in any language natively, under the seal and under our peers.

    python -m tests.reports.sealed [PART OF A COMMAND]...

Each program runs as root and as nobody. With arguments, only the programs whose command contains one of them are run;
each run is described at length, and the README is not changed. The exit status is 1 if a program under the seal did
anything else than natively.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tests.reports import versions
from tests.reports.sealed.bed import Bed, bed
from tests.reports.sealed.matrix import ROWS, Case, cases
from tests.reports.sealed.runs import NATIVE, Way, expect_leaks, peers, run, sealed, users_of, verdict
from tests.reports.sealed.table import TABLE, native_cell
from tests.reports.wire.table import cell
from tests.support.network.recorded import recorded_network

PACKAGES = ("proxychains4", "torsocks", "curl", "wget", "git", "bind9-dnsutils", "golang-go", "musl-tools", "nodejs")
LIBPQ, LIBCURL = ("psycopg2-binary", "psycopg"), ("pycurl", "curl_cffi")
LIBRARIES = (*LIBPQ, *LIBCURL, "grpcio", "confluent-kafka", "mysqlclient", "polars", "pyarrow", "uvloop")


def describe(found: Bed, ways: Sequence[Way], parts: Sequence[str]) -> None:
    """Run the programs whose command contains one of `parts`, and print what each did."""
    for case in cases():
        if not any(part in case.command for part in parts):
            continue
        for user in users_of(found, case):
            native = run(found, NATIVE, case, user)
            print(f"\n{case.command}, as {user.name}\n-- natively: {native.story}")
            for way in ways:
                ended = run(found, way, case, user)
                print(f"-- {way.name}: {verdict(ended, native)}, {ended.story}")


def make_rows(found: Bed, ways: Sequence[Way]) -> dict[str, list[str]]:
    """Run all programs. Return the cells of each row: what leaks natively, and one cell for each way."""
    rows = {}
    for row in ROWS:
        print(row.what, file=sys.stderr)
        verdicts = [each for case in row.cases for each in _verdicts(found, ways, case)]
        rows[row.what] = [native_cell(row), *(cell(column) for column in zip(*verdicts, strict=True))]
    return rows


def _verdicts(found: Bed, ways: Sequence[Way], case: Case) -> list[list[str]]:
    """Return the verdicts on a program for each user, one for each way."""
    verdicts = []
    for user in users_of(found, case):
        native = run(found, NATIVE, case, user)
        expect_leaks(case, native)
        verdicts.append([verdict(run(found, way, case, user), native) for way in ways])
    return verdicts


def main() -> int:
    with recorded_network() as network, bed(network) as found:
        ways = [sealed(), *peers(found.directory)]
        if sys.argv[1:]:
            describe(found, ways, sys.argv[1:])
            return 0
        rows = make_rows(found, ways)
        note = versions.note(packages=PACKAGES, libraries=LIBRARIES)
        print(TABLE.write(([what, *cells] for what, cells in rows.items()), note))
        return int(any(cells[1] != "ok" for cells in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
