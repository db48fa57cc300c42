"""Runs the usual programs of `make clients`: unmodified programs with common libraries, against real servers."""

from __future__ import annotations

import pytest

from tests.reports.compatibility.programs import COVERED, UNCOVERED, Program, Uncovered
from tests.reports.compatibility.runs import run
from tests.reports.compatibility.server_host import ServerHost
from tests.reports.compatibility.table import NAMED
from tests.reports.launchers import python, socksify

USUAL = [program for program in COVERED if program.usual]


@pytest.mark.parametrize("program", USUAL, ids=lambda program: program.command)
def test_it_does_the_same_and_the_proxy_sees_all_of_it(host: ServerHost, program: Program) -> None:
    with program.server.start(host):
        native = run(host.network, python(), program).run
        assert native.status == 0, native.story
        assert native.leaked, native.story
        for strict in (False, True):
            observed = run(host.network, socksify(strict), program)
            assert observed.verdict(native) == "ok", f"strict={strict}, {observed.count}: {observed.story}"


@pytest.mark.parametrize("program", [each for each in UNCOVERED if each.usual], ids=lambda program: program.command)
def test_what_no_patch_reaches_is_named_and_under_strict_refused(host: ServerHost, program: Uncovered) -> None:
    with program.server.start(host):
        native = run(host.network, python(), program).run
        assert native.status == 0, native.story
        plain, strict = (run(host.network, socksify(strict), program).run for strict in (False, True))
    assert plain.verdict(native) == "LEAKS dns tcp", plain.story
    assert plain.errors.startswith(f"socksify: {program.module} (") and NAMED in plain.errors
    assert strict.verdict(native) == "refused", strict.story
