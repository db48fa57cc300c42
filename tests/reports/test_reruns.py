"""The README's table of reruns has a line for each report and newer Python, and none says that anything differed."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from tests.reports import reruns, tables

README = f"""\
<!-- loops: begin -->
| the loop | connect |
| --- | --- |
| asyncio | ok |

Run with nothing on Python {".".join(platform.python_version_tuple()[:2])}.0.
<!-- loops: end -->
<!-- reruns: begin -->
| {" | ".join(reruns.COLUMNS)} |
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
def test_the_newer_pythons_come_to_the_same(report: str, version: str) -> None:
    every = tables.rows(tables.read(reruns.TABLE))
    lines = [line for line in every if line[0] == report and line[1].startswith(version)]
    assert [line[3] for line in lines] == ["none"]
    assert int(lines[0][2]) > 10


def test_a_line_takes_the_place_of_that_of_the_same_minor_version(readme: Path) -> None:
    assert reruns.record("loops", {"asyncio": ["ok"]}, {"asyncio": ["ok"]}) == []
    lines = tables.rows(tables.read(reruns.TABLE))[1:]
    assert lines == [["loops", platform.python_version(), "1", "none"], ["wire", "3.9.0", "1", "none"]]
    assert readme.read_text().startswith("<!-- loops: begin -->")


@pytest.mark.usefixtures("readme")
def test_what_differs_is_told() -> None:
    assert reruns.record("loops", {"asyncio": ["ok"]}, {"asyncio": ["breaks"]}) == ["asyncio: breaks"]
    assert tables.rows(tables.read(reruns.TABLE))[1][3] == "asyncio: breaks"


def test_the_python_of_the_table_writes_it(readme: Path) -> None:
    assert reruns.is_first("loops")
    readme.write_text(README.replace("on Python 3.", "on Python 2."))
    assert not reruns.is_first("loops")
