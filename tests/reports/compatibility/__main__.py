"""`make clients`: runs every program natively and under socksify, and writes the tables of client libraries.

    python -m tests.reports.compatibility [PART OF A COMMAND]...

With arguments, only the programs whose command contains one of them are run. Each run is described at length, and the
README is not changed. The exit status is 1 if a program that should go through the proxy did anything else. On another
Python than the tables', only socksify's own columns are made and compared with the table.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from tests.reports import launchers, reruns, versions
from tests.reports.compatibility.programs import COVERED, UNCOVERED, Program
from tests.reports.compatibility.runs import run
from tests.reports.compatibility.server_host import ServerHost, server_host
from tests.reports.compatibility.table import COVERED_TABLE, UNCOVERED_TABLE, key, line, results
from tests.reports.launchers import Launcher
from tests.support.network.recorded import recorded_network

PROGRAMS = [*COVERED, *UNCOVERED]


def describe(host: ServerHost, parts: list[str]) -> None:
    """Run the programs whose command contains one of `parts` with every launcher, and print what each did."""
    for program in _started(host, [each for each in PROGRAMS if any(part in each.command for part in parts)]):
        native = run(host.network, launchers.python(), program).run
        print(f"\n{program.command}\n-- natively: {native.story}")
        for launcher in _every_launcher(host):
            observed = run(host.network, launcher, program)
            print(f"-- {launcher.name}: {observed.verdict(native)}, {observed.count} seen; {observed.story}")


def write(host: ServerHost) -> int:
    """Run all programs and write both tables. Return 1 if a program that should go through the proxy did not."""
    made = _lines(host, PROGRAMS, _every_launcher(host))
    note = versions.note(packages=("microsocks", "proxychains4"))
    print(COVERED_TABLE.write((made[program] for program in COVERED), note))
    print(UNCOVERED_TABLE.write(made[program] for program in UNCOVERED))
    return int(any(made[program][-3:-1] != ("ok", "ok") for program in COVERED))


def compare(host: ServerHost) -> int:
    """Run the covered programs whose libraries this Python has. Return 1 if any result differs from the table's."""
    programs = [program for program in COVERED if program.is_here]
    print(*(f"not here: {program.library}" for program in COVERED if not program.is_here), sep="\n", file=sys.stderr)
    written = {key(each): results(each) for each in COVERED_TABLE.lines()}
    made = _lines(host, programs, launchers.own())
    return reruns.record(COVERED_TABLE, written, {key(each): results(each) for each in made.values()})


def _lines(host: ServerHost, programs: Iterable[Program], chosen: Sequence[Launcher]) -> dict[Program, tuple[str, ...]]:
    """Run programs with these launchers, and return the line of each."""
    made = {}
    for program in _started(host, programs):
        print(program.command, file=sys.stderr)
        native, *observed = (run(host.network, launcher, program) for launcher in (launchers.python(), *chosen))
        made[program] = line(program, native.run, observed)
    return made


def _every_launcher(host: ServerHost) -> list[Launcher]:
    return [*launchers.own(), launchers.proxychains(host.directory)]


def _started(host: ServerHost, programs: Iterable[Program]) -> Iterator[Program]:
    """Yield each program while its server runs. A server is started once for all its programs."""
    by_server = sorted(programs, key=lambda program: program.server.ports)
    for server, group in groupby(by_server, key=lambda program: program.server):
        with server.start(host):
            yield from group


def main() -> int:
    with recorded_network() as network, server_host(network) as host:
        if sys.argv[1:]:
            describe(host, sys.argv[1:])
            return 0
        return write(host) if reruns.writes_table(COVERED_TABLE) else compare(host)


if __name__ == "__main__":
    raise SystemExit(main())
