"""The README's table of leaks is the one that `make wire` writes for these clients, and says of us what is proved."""

from __future__ import annotations

import pytest

from tests.reports import tables
from tests.reports.wire import table
from tests.reports.wire.matrix import ROWS


def test_the_readme_has_every_row_and_column() -> None:
    heading, *lines = tables.rows(tables.read(table.NAME))
    assert heading[1:] == ["socksify", "socksify --strict", "proxychains4", "torsocks", "PySocks"]
    assert [line[0] for line in lines] == [row.what for row in ROWS]
    assert all(len(line) == len(heading) for line in lines)


@pytest.mark.parametrize("strict", [False, True])
def test_the_readme_says_of_us_what_the_tests_prove(strict: bool) -> None:
    said = {line[0]: line[1 + strict] for line in tables.rows(tables.read(table.NAME))[1:]}
    proved = {row.what: table.cell(case.verdict(strict) for case in row.cases) for row in ROWS}
    assert said == proved


def test_strict_leaks_nothing() -> None:
    leaking = {case.program for row in ROWS for case in row.cases if case.verdict(strict=True).startswith("LEAKS")}
    assert leaking == set()


def test_a_cell_has_the_worst_first() -> None:
    assert table.cell(["ok", "LEAKS dns", "breaks", "ok"]) == "**LEAKS dns** (1), breaks (1), ok (2)"
    assert table.cell(["refused", "refused"]) == "refused"


def test_what_is_written_is_read() -> None:
    text = table.markdown(["one", "two"], {"a thing": ["ok", "**LEAKS dns** (1), ok (2)"]})
    assert tables.rows(text) == [["the client uses", "one", "two"], ["a thing", "ok", "**LEAKS dns** (1), ok (2)"]]
