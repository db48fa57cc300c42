"""The README's table of sealed programs has the rows and columns of `make wire`; the tests prove our cells."""

from __future__ import annotations

from tests.reports.sealed.matrix import ROWS, usual_rows
from tests.reports.sealed.table import TABLE, native_cell


def test_the_readme_has_every_row_and_column() -> None:
    assert tuple(TABLE.heading()) == TABLE.columns
    assert list(TABLE.rows()) == [row.what for row in ROWS]
    assert {len(line) for line in TABLE.lines()} == {len(TABLE.columns)}


def test_the_readme_says_that_each_program_leaks_natively_and_not_under_the_seal() -> None:
    said = {what: tuple(cells[:2]) for what, cells in TABLE.rows().items()}
    assert said == {row.what: (native_cell(row), "ok") for row in ROWS}


def test_most_rows_are_tested_each_time() -> None:
    assert len(usual_rows()) > len(ROWS) / 2
