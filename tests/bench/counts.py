"""What is counted: system calls of a connection, of a gibibyte each way, of a turn of the event loop."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from tests.bench import programs
from tests.bench.counting import Calls, per_unit, total
from tests.bench.table import Row, counted
from tests.support import servers

EXACT = "counted"
ROUND = 1000
GIBIBYTE = 1024


def rows() -> Iterator[Row]:
    with (
        servers.microsocks() as proxy,
        programs.listening(programs.python("target", "echo")) as echo,
        programs.listening(programs.python("target", "bulk")) as bulk,
    ):
        yield _connection(proxy.port, echo)
        yield _gibibyte(proxy.port, bulk)
        yield _loop(proxy.port, echo)


def _client(way: str, proxy: int, target: int, what: str) -> programs.Argv:
    return programs.python("client", way, proxy, target, what)


def _connection(proxy: int, echo: int) -> Row:
    plain = _client("plain", proxy, echo, "connections")
    floor = _calls(_client("baseline", proxy, echo, "connections"))
    ours = _calls(programs.socksified(plain, proxy, echo))
    peers = {name: _calls(_client(name, proxy, echo, "connections")) for name in ("PySocks", "python-socks")}
    if shutil.which("proxychains4"):
        with programs.proxychained(plain, proxy) as argv:
            peers["proxychains4"] = _calls(argv)
    return Row(
        "connect, echo a byte, close: system calls",
        f"{ours:g}",
        f"at most {floor + 3:g} (baseline {floor:g})",
        EXACT,
        ", ".join(f"{name} {calls:g}" for name, calls in peers.items()),
        counted(ours <= floor + 3),
    )


def _calls(argv: programs.Argv) -> float:
    return total(per_unit(argv, ROUND // 10, ROUND // 10 + ROUND))


def _gibibyte(proxy: int, bulk: int) -> Row:
    floor = per_unit(_client("baseline", proxy, bulk, "mebibytes"), 1, 1 + GIBIBYTE)
    plain = _client("plain", proxy, bulk, "mebibytes")
    ours = per_unit(programs.socksified(plain, proxy, bulk), 1, 1 + GIBIBYTE)
    return _equal("1 GiB each way: system calls a MiB", ours, floor, "baseline")


def _loop(proxy: int, echo: int) -> Row:
    loop = programs.python("echo_loop", echo)
    native = per_unit(loop, ROUND // 10, ROUND // 10 + ROUND)
    ours = per_unit(programs.socksified(loop, proxy, echo), ROUND // 10, ROUND // 10 + ROUND)
    return _equal("asyncio echo, nothing pending: system calls a round trip", ours, native, "unpatched")


def _equal(what: str, ours: Calls, theirs: Calls, whose: str) -> Row:
    required = f"the same ones ({whose} {total(theirs):g})"
    return Row(what, f"{total(ours):g}", required, EXACT, "", counted(ours == theirs))
