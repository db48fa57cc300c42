"""The README's table of sealed programs."""

from __future__ import annotations

from tests.reports.client_runs import emphasized
from tests.reports.sealed.matrix import Row
from tests.reports.tables import Table

TABLE = Table("sealed", ("the program", "natively", "socksify --seal", "proxychains4", "torsocks"))


def native_cell(row: Row) -> str:
    """Return what the programs of a row leak natively."""
    kinds = {kind for case in row.cases for kind in case.leaks.split()}
    return emphasized(f"LEAKS {' '.join(sorted(kinds))}")
