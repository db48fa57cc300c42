"""The README's table of loops: its rows and columns, and the cells that a run produces."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator

from tests.reports.loops.behaviours import BEHAVIOURS, CROWD
from tests.reports.loops.runs import NAME, Report, run
from tests.reports.loops.servers import Servers
from tests.reports.tables import Table

COLUMNS = tuple(BEHAVIOURS)
TABLE = Table("loops", ("the loop", *COLUMNS))
# Each row's program and the program's arguments.
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
# A loop that blocks during handshakes ticks once or twice for each. A loop that does not block ticks more often.
TICKS = 10


def cells(row: str, servers: Servers) -> list[str]:
    """Return the cells of a row: `ok` if the behaviour, launched and installed late, is the native one."""
    late, launched = (run(*ROWS[row], servers=servers, late=when) for when in (True, False))
    native, ways = late.results["native"], (launched.results["launched"], late.results["late"])
    verdicts = {name: _verdict(native[name], *(way[name] for way in ways)) for name in COLUMNS}
    # The first cell tells of errors that concern the whole run.
    wrong = [*_unexpected_targets(late, servers), *_unexpected_targets(launched, servers)]
    wrong += _blocked(late.ticks[1:] + launched.ticks)
    if late.results["afterwards"] != native["connect"]:
        wrong.append("uninstall() leaves it changed")
    if wrong:
        verdicts[COLUMNS[0]] = "; ".join(wrong)
    return list(verdicts.values())


def _verdict(native: object, launched: object, late: object) -> str:
    if native == launched == late:
        return "ok"
    return f"natively {native}, launched {launched}, late {late}"


def _unexpected_targets(report: Report, servers: Servers) -> Iterator[str]:
    """Yield a message unless the run asked the proxy for the expected targets and no others."""
    name = [(NAME, port) for port in (servers.tls[1], servers.echo[1])]
    expected = Counter({servers.echo: CROWD + 1, servers.closed: 1, servers.deaf: 2, **dict.fromkeys(name, 1)})
    # A connect that is given up may end before the client has named the target.
    seen = Counter(target or servers.deaf for target in report.targets)
    if seen != expected:
        yield f"the proxy saw {seen}"


def _blocked(ticks: list[int]) -> Iterator[str]:
    if min(ticks) < TICKS:
        yield f"the loop ticked {ticks} times"
