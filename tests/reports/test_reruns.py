"""Tests the README's table of reruns, and how a report adds a line to this table."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from tests.reports import tables
from tests.reports.reruns import RERUNS, record, writes_table
from tests.reports.tables import Table

LOOPS = Table("loops", ("the loop", "connect"))

README = f"""\
<!-- loops: begin -->
| the loop | connect |
| --- | --- |
| asyncio | ok |

Run with nothing on Python {".".join(platform.python_version_tuple()[:2])}.0.
<!-- loops: end -->
<!-- reruns: begin -->
| {" | ".join(RERUNS.columns)} |
| --- | --- | --- | --- |
| loops | {platform.python_version()} | 7 | 3 |
| wire | 3.9.0 | 1 | none |
<!-- reruns: end -->
"""


@pytest.fixture
def readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "README.md"
    path.write_text(README)
    monkeypatch.setattr(tables, "README", path)
    return path


@pytest.mark.parametrize("report", ["compatibility", "loops", "wire"])
@pytest.mark.parametrize("version", ["3.14", "3.15"])
def test_newer_pythons_have_the_same_results(report: str, version: str) -> None:
    lines = [line for line in RERUNS.lines() if line[0] == report and line[1].startswith(version)]
    assert [line[3] for line in lines] == ["none"]
    assert int(lines[0][2]) > 10


def test_a_line_replaces_the_line_of_the_same_minor_version(readme: Path) -> None:
    assert record(LOOPS, {"asyncio": ["ok"]}, {"asyncio": ["ok"]}) == 0
    assert RERUNS.lines() == [["loops", platform.python_version(), "1", "none"], ["wire", "3.9.0", "1", "none"]]
    assert readme.read_text().startswith("<!-- loops: begin -->")


@pytest.mark.usefixtures("readme")
def test_differences_are_printed_and_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    assert record(LOOPS, {"asyncio": ["ok"]}, {"asyncio": ["breaks"]}) == 1
    assert capsys.readouterr().out == "asyncio: breaks\n"
    assert RERUNS.lines()[0][3] == "asyncio: breaks"


def test_the_python_of_the_table_writes_it(readme: Path) -> None:
    assert writes_table(LOOPS)
    readme.write_text(README.replace("on Python 3.", "on Python 2."))
    assert not writes_table(LOOPS)
