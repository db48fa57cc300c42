"""`make clients`: runs every program natively and under socksify, and writes into the README what came of each.

    python -m tests.compatibility [PART OF A COMMAND]...

With arguments only the programs that have one of them in their command are run; what each did is told at length, and
the README is left alone. The exit status is 1 if one of those that should go through the proxy did anything else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import TypeVar

from tests.compatibility import table
from tests.compatibility.matrix import COVERED, UNCOVERED, Program
from tests.compatibility.place import Place, place
from tests.compatibility.runs import Seen, see
from tests.compatibility.servers import debian
from tests.compatibility.table import Line
from tests.wire.outside import outside
from tests.wire.runs import Run
from tests.wire.ways import Way, natively, ours, proxychains

AnyProgram = TypeVar("AnyProgram", bound=Program)


def told(where: Place, ways: Sequence[Way], parts: list[str]) -> None:
    """Runs the programs that are asked for, and tells what each did."""
    programs = [program for program in (*COVERED, *UNCOVERED) if any(part in program.command for part in parts)]
    for program in started(where, programs):
        native = see(where.net, natively(), program).run
        print(f"\n{program.command}\n-- natively: {native.story}")
        for way in ways:
            seen = see(where.net, way, program)
            print(f"-- {way.name}: {seen.verdict(native)}, {seen.count} seen; {seen.story}")


def tabled(where: Place, ways: Sequence[Way]) -> list[Line]:
    """Runs all, writes the README's tables, prints them, and returns the first one's lines."""
    covered = lines(where, COVERED, ways[:2], table.covered)
    uncovered = lines(where, UNCOVERED, ways, table.uncovered)
    print(table.write(covered, uncovered, versions()))
    return covered


def lines(
    where: Place, programs: list[AnyProgram], ways: Sequence[Way], line: Callable[[AnyProgram, Run, list[Seen]], Line]
) -> list[Line]:
    """What came of each of them, in the order in which they are."""
    made = {}
    for program in started(where, programs):
        print(program.command, file=sys.stderr)
        native, *seen = (see(where.net, way, program) for way in (natively(), *ways))
        made[program] = line(program, native.run, seen)
    return [made[program] for program in programs]


def started(where: Place, programs: Sequence[AnyProgram]) -> Iterator[AnyProgram]:
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
        ways = [ours(strict=False), ours(strict=True), proxychains(where.directory)]
        if sys.argv[1:]:
            told(where, ways, sys.argv[1:])
            return 0
        return int(any(line[-2:] != ("ok", "ok") for line in tabled(where, ways)))


if __name__ == "__main__":
    raise SystemExit(main())
