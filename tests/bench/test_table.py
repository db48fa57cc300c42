"""The verdicts, and the table as Markdown."""

from __future__ import annotations

from tests.bench.table import Row, Verdict, counted, markdown, timed


def test_a_time_counts_only_beside_a_settled_control() -> None:
    assert timed(True, 1.01, 0.04) is Verdict.MET
    assert timed(False, 0.99, 0.04) is Verdict.MISSED
    assert timed(True, 1.03, 0.04) is Verdict.UNCLEAR
    assert timed(False, 0.97, 0.04) is Verdict.UNCLEAR


def test_what_is_missed_or_cannot_be_measured_fails() -> None:
    assert {verdict for verdict in Verdict if verdict.fails} == {Verdict.MISSED, Verdict.ABSENT}
    assert not counted(True).fails
    assert counted(False).fails


def test_the_table_is_markdown() -> None:
    lines = markdown([Row("connect", "11", "at most 11", "counted", "PySocks 14", Verdict.MET)]).splitlines()
    assert lines[0] == "| what | ours | required | A/A control | peers | verdict |"
    assert lines[1] == "| --- | --- | --- | --- | --- | --- |"
    assert lines[2] == "| connect | 11 | at most 11 | counted | PySocks 14 | met |"
