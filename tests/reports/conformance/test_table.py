"""The README's table of CPython's tests is what `make conformance` writes, and no test fails only under socksify."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from tests.reports import tables
from tests.reports.conformance import table
from tests.reports.conformance.comparing import Comparison, Round
from tests.reports.conformance.runs import Outcome


def test_the_readme_has_a_line_for_each_python() -> None:
    lines = table.TABLE.lines()
    assert [line[0].rpartition(".")[0] for line in lines] == ["3.11", "3.12", "3.13", "3.14", "3.15"]
    assert table.TABLE.text() == table.TABLE.markdown(lines, table.NOTE)


def test_no_test_fails_under_socksify_alone() -> None:
    assert {line[-1] for line in table.TABLE.lines()} == {"0"}


def test_a_line_counts_tests_of_all_modules() -> None:
    one = Round({"a": Outcome("ok"), "b": Outcome("failed")}, {"a": Outcome("failed"), "b": Outcome("failed")})
    two = Round({"c": Outcome("ok"), "d": Outcome("skipped")}, {"c": Outcome("ok"), "d": Outcome("skipped")})
    nothing = Round({"e": Outcome("skipped")}, {"e": Outcome("skipped")})
    found = [Comparison(f"test_{n}", (each, each)) for n, each in enumerate((one, two, nothing))]
    assert table.line(found, 17) == (platform.python_version(), "2", "3", "17", "1", "0", "1")


def test_a_line_replaces_the_line_of_the_same_minor_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- conformance: begin -->\n<!-- conformance: end -->\nafter\n")
    monkeypatch.setattr(tables, "README", readme)
    table.TABLE.write([])
    lines = [("3.12.1", *"123456"), ("3.9.1", *"223456"), ("3.12.2", *"323456")]
    for line in lines:
        table.write(line)
    assert table.TABLE.lines() == [list(lines[1]), list(lines[2])]
    assert readme.read_text().startswith("before\n") and readme.read_text().endswith("after\n")
