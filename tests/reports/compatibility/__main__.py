"""`make clients`: runs every program natively and under socksify, and writes into the README what came of each.

    python -m tests.reports.compatibility [PART OF A COMMAND]...

With arguments only the programs that have one of them in their command are run; what each did is told at length, and
the README is left alone. The exit status is 1 if one of those that should go through the proxy did anything else.
On another Python than the tables' our own columns alone are made, and compared with them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from tests.reports import reruns, tables
from tests.reports.compatibility import table
from tests.reports.compatibility.matrix import COVERED, UNCOVERED, Program
from tests.reports.compatibility.place import Place, place
from tests.reports.compatibility.runs import see
from tests.reports.compatibility.servers import debian
from tests.reports.compatibility.table import Line
from tests.reports.wire.ways import Way, natively, ours, proxychains
from tests.support.network.recorded import recorded_network

PROGRAMS = [*COVERED, *UNCOVERED]


def told(where: Place, parts: list[str]) -> None:
    """Runs the programs that are asked for in every way, and tells what each did."""
    for program in started(where, [each for each in PROGRAMS if any(part in each.command for part in parts)]):
        native = see(where.network, natively(), program).run
        print(f"\n{program.command}\n-- natively: {native.story}")
        for way in ways(where):
            seen = see(where.network, way, program)
            print(f"-- {way.name}: {seen.verdict(native)}, {seen.count} seen; {seen.story}")


def tabled(where: Place) -> bool:
    """Runs all, writes the README's tables and prints them; whether all that should go through the proxy did."""
    made = lines(where, PROGRAMS, ways(where))
    covered, uncovered = ([made[program] for program in programs] for programs in (COVERED, UNCOVERED))
    print(table.write(covered, uncovered, versions()))
    return all(line[-3:-1] == ("ok", "ok") for line in covered)


def lines(where: Place, programs: Iterable[Program], ways: Sequence[Way]) -> dict[Program, Line]:
    """Runs programs in these ways; what came of each."""
    made = {}
    for program in started(where, programs):
        print(program.command, file=sys.stderr)
        native, *seen = (see(where.network, way, program) for way in (natively(), *ways))
        made[program] = table.line(program, native.run, seen)
    return made


def compared(where: Place) -> list[str]:
    """Runs the covered programs whose libraries this Python has; what differs from the README's table."""
    programs = [program for program in COVERED if program.is_here]
    print(*(f"not here: {program.library}" for program in COVERED if not program.is_here), sep="\n", file=sys.stderr)
    written = {_row(line): _results(line[4:7]) for line in tables.rows(tables.read(table.COVERED_NAME))}
    made = lines(where, programs, own_ways())
    return reruns.record(table.COVERED_NAME, written, {_row(line): _results(line[4:]) for line in made.values()})


def _results(cells: Sequence[str]) -> list[str]:
    """What came of a program.

    How many connections a pool makes is a matter of timing, and whether a wheel has a part in C, which is named though
    nothing uses it, is one of the Python that it is for.
    """
    seen, _, reached = cells[0].partition(" of ")
    return ["all seen" if seen == reached else cells[0], *(cell.removesuffix(", named") for cell in cells[1:])]


def _row(line: Sequence[str]) -> str:
    """What tells a program's line from the others: the major version among them, for a library that is there twice."""
    library, version, done = line[:3]
    return f"{library} {'' if version.startswith('Python') else version.split('.')[0]}, {done}"


def own_ways() -> list[Way]:
    return [ours(strict=False), ours(strict=True)]


def ways(where: Place) -> list[Way]:
    return [*own_ways(), proxychains(where.directory)]


def started(where: Place, programs: Iterable[Program]) -> Iterator[Program]:
    """Each of the programs while its server runs, which is started once for them all."""
    by_server = sorted(programs, key=lambda program: program.server.ports)
    for server, group in groupby(by_server, key=lambda program: program.server):
        with server.start(where):
            yield from group


def versions() -> str:
    packages = ", ".join(f"{package} {debian(package)}" for package in ("microsocks", "proxychains4"))
    return f"Run with {packages} on Python {sys.version.split()[0]}."


def main() -> int:
    with recorded_network() as network, place(network) as where:
        if sys.argv[1:]:
            told(where, sys.argv[1:])
            return 0
        if reruns.is_first(table.COVERED_NAME):
            return int(not tabled(where))
        differing = compared(where)
        print(*differing, sep="\n")
        return int(bool(differing))


if __name__ == "__main__":
    raise SystemExit(main())
