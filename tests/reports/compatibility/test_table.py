"""The README's tables have a line for each program, and say of the covered ones that they work."""

from __future__ import annotations

from pathlib import Path

import pytest

from socksify.patches.c_extensions import MODULES
from tests.reports.client_runs import Run
from tests.reports.compatibility.programs import COVERED, UNCOVERED, Program
from tests.reports.compatibility.runs import ObservedRun
from tests.reports.compatibility.table import COVERED_TABLE, UNCOVERED_TABLE
from tests.support.network.packets import Packet
from tests.support.paths import PROGRAMS

NATIVE = Run(0, "hello", "", [Packet("tcp", target="198.51.100.7", port=80)])
PROXIED = Run(0, "hello", "", [Packet("tcp", target="192.0.2.1", port=1080)])


def test_the_readme_has_a_line_for_each_covered_program() -> None:
    assert tuple(COVERED_TABLE.heading()) == COVERED_TABLE.columns
    assert [(line[0], line[2]) for line in COVERED_TABLE.lines()] == [
        (program.library, program.done) for program in COVERED
    ]


def test_the_readme_says_of_covered_programs_what_the_tests_prove() -> None:
    for line in COVERED_TABLE.lines():
        seen, _, reached = line[4].partition(" of ")
        assert seen == reached != "0", line
        assert line[5:7] == ["ok", "ok"], line


def test_the_readme_says_of_uncovered_programs_what_to_use() -> None:
    lines = UNCOVERED_TABLE.lines()
    assert tuple(UNCOVERED_TABLE.heading()) == UNCOVERED_TABLE.columns
    assert [line[0] for line in lines] == [program.library for program in UNCOVERED]
    for line, program in zip(lines, UNCOVERED, strict=True):
        assert line[2].endswith(", named") and line[2].startswith("**LEAKS")
        assert line[3] == "refused"
        assert line[5] == MODULES[program.module]


def test_a_library_is_not_covered_and_uncovered() -> None:
    assert not {program.library for program in COVERED} & {program.library for program in UNCOVERED}


@pytest.mark.parametrize("program", [*COVERED, *UNCOVERED], ids=lambda program: program.command)
def test_the_programs_know_of_no_proxy(program: Program) -> None:
    text = Path(PROGRAMS, f"{program.command.split()[0]}.py").read_text()
    assert "socks" not in text.lower()


def test_a_connection_that_the_proxy_has_not_seen_is_told() -> None:
    assert ObservedRun(PROXIED, ["target.example:80"], 1).verdict(NATIVE) == "ok"
    assert ObservedRun(PROXIED, ["target.example:80"], 2).verdict(NATIVE) == "unseen"
    assert ObservedRun(PROXIED, [], 0).verdict(NATIVE) == "unseen"
    assert ObservedRun(NATIVE, [], 0).verdict(NATIVE) == "LEAKS tcp"
