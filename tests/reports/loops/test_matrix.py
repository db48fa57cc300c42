"""Runs each row of the README's table of loops that this Python can run, and compares the cells."""

from __future__ import annotations

import pytest

from tests.reports.loops.matrix import ROWS, RUNNABLE, TABLE, cells
from tests.reports.loops.servers import Servers


@pytest.mark.parametrize("row", RUNNABLE)
def test_a_row_comes_out_as_the_readme_says(row: str, servers: Servers) -> None:
    assert cells(row, servers) == TABLE.rows()[row]


def test_the_readme_has_every_row_and_column() -> None:
    assert tuple(TABLE.heading()) == TABLE.columns
    assert list(TABLE.rows()) == list(ROWS)
