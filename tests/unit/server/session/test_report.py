"""The report of a session is one printable line."""

from __future__ import annotations

import pytest

from socksify.server.session.report import Report, line

DONE = Report(1, "192.0.2.1:5", "alice", "connect", "example.com:80", "relaying", "done", "", 3, 4, 1.5, "rule")


@pytest.mark.parametrize(
    ("report", "told"),
    [
        (DONE, "alice@192.0.2.1:5 connect example.com:80: done, 3 bytes up, 4 down, 1.500 s"),
        (
            DONE._replace(user=None, outcome="denied", detail="by rule 7", up=0, down=0),
            "192.0.2.1:5 connect example.com:80: denied (by rule 7), 0 bytes up, 0 down, 1.500 s",
        ),
        (
            DONE._replace(user=None, command="", target="", stage="negotiating", outcome=""),
            "192.0.2.1:5 ?: negotiating, 3 bytes up, 4 down, 1.500 s",
        ),
    ],
)
def test_a_line(report: Report, told: str) -> None:
    assert line(report) == told
