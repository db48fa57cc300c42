"""`make clients`: runs every program natively and under socksify, and writes into the README what came of each.

    python -m tests.compatibility [PART OF A COMMAND]...

With arguments only the programs that have one of them in their command are run; what each did is told at length, and
the README is left alone. The exit status is 1 if one of those that should go through the proxy did anything else.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import groupby

from tests.compatibility import table
from tests.compatibility.matrix import COVERED, UNCOVERED, Program
from tests.compatibility.place import Place, place
from tests.compatibility.runs import see
from tests.compatibility.servers import debian
from tests.compatibility.table import Line
from tests.wire.outside import outside
from tests.wire.ways import Way, natively, ours, proxychains

PROGRAMS = [*COVERED, *UNCOVERED]


def told(where: Place, parts: list[str]) -> None:
    """Runs the programs that are asked for in every way, and tells what each did."""
    for program in started(where, [each for each in PROGRAMS if any(part in each.command for part in parts)]):
        native = see(where.net, natively(), program).run
        print(f"\n{program.command}\n-- natively: {native.story}")
        for way in ways(where):
            seen = see(where.net, way, program)
            print(f"-- {way.name}: {seen.verdict(native)}, {seen.count} seen; {seen.story}")


def tabled(where: Place) -> list[Line]:
    """Runs all, writes the README's tables, prints them, and returns the first one's lines."""
    made = {}
    for program in started(where, PROGRAMS):
        print(program.command, file=sys.stderr)
        native, *seen = (see(where.net, way, program) for way in (natively(), *ways(where)))
        made[program] = table.line(program, native.run, seen)
    covered, uncovered = ([made[program] for program in programs] for programs in (COVERED, UNCOVERED))
    print(table.write(covered, uncovered, versions()))
    return covered


def ways(where: Place) -> list[Way]:
    return [ours(strict=False), ours(strict=True), proxychains(where.directory)]


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
    with outside() as net, place(net) as where:
        if sys.argv[1:]:
            told(where, sys.argv[1:])
            return 0
        return int(any(line[-3:-1] != ("ok", "ok") for line in tabled(where)))


if __name__ == "__main__":
    raise SystemExit(main())
