"""Unmodified programs with the libraries that people use, against real servers: the usual ones of `make clients`."""

from __future__ import annotations

import pytest

from tests.reports.compatibility.matrix import COVERED, UNCOVERED, Program, Uncovered
from tests.reports.compatibility.place import Place
from tests.reports.compatibility.runs import see
from tests.reports.compatibility.table import NAMED
from tests.reports.wire.ways import natively, ours

USUAL = [program for program in COVERED if program.usual]


@pytest.mark.parametrize("program", USUAL, ids=lambda program: program.command)
def test_it_does_the_same_and_the_proxy_sees_all_of_it(where: Place, program: Program) -> None:
    with program.server.start(where):
        native = see(where.network, natively(), program).run
        assert native.status == 0, native.story
        assert native.leaked, native.story
        for strict in (False, True):
            seen = see(where.network, ours(strict), program)
            assert seen.verdict(native) == "ok", f"strict={strict}, {seen.count}: {seen.story}"


@pytest.mark.parametrize("program", [each for each in UNCOVERED if each.usual], ids=lambda program: program.command)
def test_what_no_patch_reaches_is_named_and_under_strict_refused(where: Place, program: Uncovered) -> None:
    with program.server.start(where):
        native = see(where.network, natively(), program).run
        assert native.status == 0, native.story
        plain, strict = (see(where.network, ours(strict), program).run for strict in (False, True))
    assert plain.verdict(native) == "LEAKS dns tcp", plain.story
    assert f"socksify: {program.module} {NAMED}" in plain.errors
    assert strict.verdict(native) == "refused", strict.story
