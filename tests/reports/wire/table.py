"""The README's table of leaks: its columns and the text of its cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tests.reports.client_runs import emphasized
from tests.reports.tables import Table

OWN_COLUMNS = ("socksify", "socksify --strict")
TABLE = Table("wire", ("the client uses", *OWN_COLUMNS, "proxychains4", "torsocks", "PySocks"))


def cell(verdicts: Iterable[str]) -> str:
    """Return the cell for the verdicts of a row's clients: the worst first, with numbers if the verdicts differ."""
    counted = Counter(verdicts)
    if len(counted) == 1:
        return emphasized(*counted)
    return ", ".join(f"{emphasized(verdict)} ({number})" for verdict, number in sorted(counted.items(), key=_badness))


def _badness(counted: tuple[str, int]) -> tuple[int, str]:
    verdict = counted[0]
    return ["LEAKS", "breaks", "differs", "refused", "ok"].index(verdict.split()[0]), verdict
