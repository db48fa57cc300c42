"""The README's two tables of client libraries: those that go through the proxy, and those that no patch reaches."""

from __future__ import annotations

from collections.abc import Iterable

from socksify.patches.c_extensions import MODULES
from tests.reports import tables
from tests.reports.compatibility.matrix import Program, Uncovered
from tests.reports.compatibility.runs import Seen
from tests.reports.wire.runs import Run
from tests.reports.wire.table import emphasized

Line = tuple[str, ...]

COVERED_NAME, UNCOVERED_NAME = "compatibility", "uncovered"
COVERED_COLUMNS = ("library", "version", "done", "with", "seen by the proxy", "socksify", "--strict", "proxychains4")
UNCOVERED_COLUMNS = ("library", "version", "socksify", "--strict", "proxychains4", "use instead")
NAMED = "has network code of its own"


def line(program: Program, native: Run, seen: list[Seen]) -> Line:
    """What came of a program in each way. That a library is named on stderr is part of what socksify does."""
    verdicts = [emphasized(each.verdict(native)) + ", named" * (NAMED in each.run.errors) for each in seen]
    if isinstance(program, Uncovered):
        return program.library, program.version, *verdicts, MODULES[program.module]
    return program.library, program.version, program.done, program.server.called, seen[0].count, *verdicts


def write(covered: Iterable[Line], uncovered: Iterable[Line], versions: str) -> str:
    """Puts both into the README, and returns them."""
    first = tables.markdown(COVERED_COLUMNS, covered)
    second = tables.markdown(UNCOVERED_COLUMNS, uncovered)
    tables.write(COVERED_NAME, f"{first}\n{versions}\n")
    tables.write(UNCOVERED_NAME, second)
    return f"{first}\n{second}\n{versions}"
