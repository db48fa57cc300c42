"""The metrics, parsed by the rules of Prometheus' format."""

from __future__ import annotations

import re

from socksify.server.operation.metrics import COMMANDS, Table
from socksify.server.session.report import OUTCOMES, Report

SAMPLE = re.compile(r'([a-z_]+)(\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\})? (\S+)')


def report(outcome: str = "done", command: str = "connect", seconds: float = 0.5, up: int = 0, down: int = 0) -> Report:
    return Report(1, "127.0.0.1:1", None, command, "x:1", "", outcome, "", up, down, seconds)


def samples(text: str) -> dict[str, float]:
    """The values of all samples. Each line must be a sample or a comment."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("# "):
            sample = SAMPLE.fullmatch(line)
            assert sample is not None, line
            found[sample[1] + (sample[2] or "")] = float(sample[3])
    return found


def test_sessions_are_counted_by_command_and_outcome() -> None:
    table = Table(1)
    for each in (report(), report(), report("denied"), report("garbled", "")):
        table.rows[0].ended(each)
    found = samples(table.text())
    assert found['sockd_sessions_total{command="connect",outcome="done"}'] == 2
    assert found['sockd_sessions_total{command="connect",outcome="denied"}'] == 1
    assert found['sockd_sessions_total{command="none",outcome="garbled"}'] == 1


def test_every_report_can_be_counted() -> None:
    table = Table(1)
    for command in COMMANDS:
        for outcome in OUTCOMES:
            table.rows[0].ended(report(outcome, command))
    assert samples(table.text())["sockd_session_seconds_count"] == len(COMMANDS) * len(OUTCOMES)


def test_the_histogram_adds_up() -> None:
    table = Table(1)
    for seconds in (0.001, 0.05, 5.0, 100_000.0):
        table.rows[0].ended(report(seconds=seconds))
    found = samples(table.text())
    bounds = ("0.01", "0.1", "1", "10", "60", "600", "3600", "+Inf")
    assert [found[f'sockd_session_seconds_bucket{{le="{bound}"}}'] for bound in bounds] == [1, 2, 2, 3, 3, 3, 3, 4]
    assert found["sockd_session_seconds_sum"] == 100_005.051
    assert found["sockd_session_seconds_count"] == 4


def test_every_family_is_introduced_once() -> None:
    text = Table(1).text()
    families = re.findall(r"# TYPE (\S+) (?:counter|gauge|histogram)\n", text)
    assert families == re.findall(r"# HELP (\S+) .*\n# TYPE", text)
    assert len(set(families)) == len(families)
    assert text.endswith("\n")


def test_rows_are_summed() -> None:
    table = Table(3)
    table.rows[0].ended(report(up=1, down=10))
    table.rows[1].ended(report(up=2, down=20))
    table.rows[1].put("live", 4)
    table.rows[2].add("restarts")
    found = samples(table.text())
    assert found['sockd_bytes_total{direction="up"}'] == 3
    assert found['sockd_bytes_total{direction="down"}'] == 30
    assert found["sockd_sessions"] == 4
    assert found["sockd_worker_restarts_total"] == 1


def test_bytes_may_be_many() -> None:
    table = Table(1)
    table.rows[0].ended(report(up=1 << 60))
    assert f"{1 << 60}" in table.text()
