"""The README's two tables of client libraries: those that go through the proxy, and those that no patch reaches."""

from __future__ import annotations

from collections.abc import Sequence

from socksify.patches.c_extensions import MODULES
from tests.reports.client_runs import Run, emphasized
from tests.reports.compatibility.programs import Program, Uncovered
from tests.reports.compatibility.runs import ObservedRun
from tests.reports.tables import Table

COVERED_TABLE = Table(
    "compatibility",
    ("library", "version", "done", "with", "seen by the proxy", "socksify", "--strict", "proxychains4"),
)
UNCOVERED_TABLE = Table("uncovered", ("library", "version", "socksify", "--strict", "proxychains4", "use instead"))
# The part of the message on stderr about a library with network code in C.
NAMED = "has network code of its own"


def line(program: Program, native: Run, observed: Sequence[ObservedRun]) -> tuple[str, ...]:
    """Return the line of a program. `, named` means that socksify's message on stderr named the library."""
    verdicts = [emphasized(each.verdict(native)) + ", named" * (NAMED in each.run.errors) for each in observed]
    if isinstance(program, Uncovered):
        return program.library, program.version, *verdicts, MODULES[program.module]
    return program.library, program.version, program.done, program.server.called, observed[0].count, *verdicts


def key(line: Sequence[str]) -> str:
    """Return what identifies a program's line on any Python.

    The major version is a part of the key, since a library may be in the table with two of them.
    """
    library, version, done = line[:3]
    return f"{library} {'' if version.startswith('Python') else version.split('.')[0]}, {done}"


def results(line: Sequence[str]) -> list[str]:
    """Return the cells of a covered program's line that must be the same on any Python.

    The number of a pool's connections depends on timing. Whether a wheel has a part in C, which is then named even if
    nothing uses it, depends on the Python that the wheel is for.
    """
    count, *verdicts = line[4:7]
    seen, _, reached = count.partition(" of ")
    return ["all seen" if seen == reached else count, *(verdict.removesuffix(", named") for verdict in verdicts)]
