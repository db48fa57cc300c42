"""The rows of the README's table of loops, its columns, and what a run puts in its cells."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator

from tests.reports.loops.behaviours import BEHAVIOURS, CROWD
from tests.reports.loops.places import Place
from tests.reports.loops.runs import NAME, Report, run

TABLE = "loops"
COLUMNS = tuple(BEHAVIOURS)
# Each by its program and the program's arguments.
ROWS = {
    "asyncio, `select`": ("on_asyncio.py", "select"),
    "asyncio, `poll`": ("on_asyncio.py", "poll"),
    "asyncio, `epoll`": ("on_asyncio.py", "epoll"),
    "uvloop": ("on_asyncio.py", "uvloop"),
    "trio": ("on_trio.py",),
    "anyio on asyncio": ("on_anyio.py", "asyncio"),
    "anyio on trio": ("on_anyio.py", "trio"),
    "curio (on 3.11: it does not import on later ones)": ("on_curio.py",),
    "gevent, monkey-patched": ("on_green.py", "gevent", "patched"),
    "`gevent.socket`, `gevent.ssl`": ("on_green.py", "gevent", "green"),
    "eventlet, monkey-patched": ("on_green.py", "eventlet", "patched"),
    "`eventlet.green`": ("on_green.py", "eventlet", "green"),
    "tornado": ("on_tornado.py",),
    "twisted, select reactor": ("on_twisted.py", "select"),
    "twisted, poll reactor": ("on_twisted.py", "poll"),
    "twisted, epoll reactor": ("on_twisted.py", "epoll"),
    "twisted, asyncio reactor": ("on_twisted.py", "asyncio"),
}
RUNNABLE = [row for row in ROWS if not row.startswith("curio") or sys.version_info < (3, 12)]
# A loop that stands still while a handshake goes on ticks once or twice for each; this one, several times for all.
TICKS = 10


def cells(row: str, place: Place) -> list[str]:
    """A row of the table: each behaviour is ok if it is the native one, launched and installed late."""
    late, launched = (run(*ROWS[row], place=place, late=when) for when in (True, False))
    native, ways = late.results["native"], (launched.results["launched"], late.results["late"])
    verdicts = {name: _verdict(native[name], *(way[name] for way in ways)) for name in COLUMNS}
    # What is wrong with the whole of it stands in the first cell.
    wrong = [*_unseen(late, place), *_unseen(launched, place), *_standing(late.ticks[1:] + launched.ticks)]
    if late.results["afterwards"] != native["connect"]:
        wrong.append("uninstall() leaves it changed")
    if wrong:
        verdicts[COLUMNS[0]] = "; ".join(wrong)
    return list(verdicts.values())


def _verdict(native: object, launched: object, late: object) -> str:
    if native == launched == late:
        return "ok"
    return f"natively {native}, launched {launched}, late {late}"


def _unseen(report: Report, place: Place) -> Iterator[str]:
    """Whatever a run should have asked the proxy for, and nothing else."""
    name = [(NAME, port) for port in (place.tls[1], place.echo[1])]
    expected = Counter({place.echo: CROWD + 1, place.closed: 1, place.deaf: 2, **dict.fromkeys(name, 1)})
    # What is given up may be so before it has been said where to.
    seen = Counter(target or place.deaf for target in report.targets)
    if seen != expected:
        yield f"the proxy saw {seen}"


def _standing(ticks: list[int]) -> Iterator[str]:
    if min(ticks) < TICKS:
        yield f"the loop ticked {ticks} times"
