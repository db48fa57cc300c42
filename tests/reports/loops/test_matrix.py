"""The README's table of loops is what they do: each row that can be is run, and comes out as it says."""

from __future__ import annotations

import pytest

from tests.reports.loops.matrix import COLUMNS, ROWS, RUNNABLE, TABLE, cells
from tests.reports.loops.places import Place
from tests.reports.tables import read, rows


@pytest.mark.parametrize("row", RUNNABLE)
def test_a_row_comes_out_as_the_readme_says(row: str, place: Place) -> None:
    said = {line[0]: line[1:] for line in rows(read(TABLE))}
    assert cells(row, place) == said[row]


def test_the_readme_has_every_row_and_column() -> None:
    heading, *lines = rows(read(TABLE))
    assert tuple(heading[1:]) == COLUMNS
    assert [line[0] for line in lines] == list(ROWS)
