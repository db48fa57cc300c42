"""The README's table of CPython's own tests: a line for each Python, written from a run, read by a test."""

from __future__ import annotations

import platform
from collections.abc import Iterable

from tests.reports.conformance.comparing import Comparison
from tests.reports.conformance.limits import LIMITS
from tests.reports.tables import Table, minor_version

TABLE = Table(
    "conformance",
    (
        "Python",
        "modules",
        "tests",
        "connections through danted",
        "fail natively, too",
        "SOCKS cannot",
        "fail under socksify alone",
    ),
)
NOTE = "What SOCKS cannot:\n\n" + "\n".join(f"- {limit.what}." for limit in LIMITS)


def line(comparisons: Iterable[Comparison], connections: int) -> tuple[str, ...]:
    """Return the line of the running Python."""
    ran = [each for each in comparisons if each.ran]
    bad = [(len(each.native), len(each.excepted), len(each.only_ours)) for each in ran]
    tests = sum(len(each.ran) for each in ran)
    return (platform.python_version(), *map(str, (len(ran), tests, connections, *map(sum, zip(*bad, strict=True)))))


def write(line: tuple[str, ...]) -> None:
    """Put the line into the README, in the place of the line of the same minor version."""
    TABLE.replace_line(line, lambda each: minor_version(each[0]), NOTE)
