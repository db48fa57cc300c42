"""The README's table of leaks has the rows and columns of `make wire`; the tests prove what socksify's cells say."""

from __future__ import annotations

import pytest

from tests.reports.wire.matrix import ROWS
from tests.reports.wire.table import TABLE, cell


def test_the_readme_has_every_row_and_column() -> None:
    assert tuple(TABLE.heading()) == TABLE.columns
    assert list(TABLE.rows()) == [row.what for row in ROWS]
    assert {len(line) for line in TABLE.lines()} == {len(TABLE.columns)}


@pytest.mark.parametrize("strict", [False, True])
def test_the_readme_says_of_us_what_the_tests_prove(strict: bool) -> None:
    said = {what: cells[strict] for what, cells in TABLE.rows().items()}
    proved = {row.what: cell(case.verdict(strict) for case in row.cases) for row in ROWS}
    assert said == proved


def test_strict_leaks_nothing() -> None:
    leaking = {case.program for row in ROWS for case in row.cases if case.verdict(strict=True).startswith("LEAKS")}
    assert leaking == set()


def test_a_cell_has_the_worst_first() -> None:
    assert cell(["ok", "LEAKS dns", "breaks", "ok"]) == "**LEAKS dns** (1), breaks (1), ok (2)"
    assert cell(["refused", "refused"]) == "refused"
