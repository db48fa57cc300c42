"""What can be counted is a promise, kept in every run of the suite: system calls, ours beside the baseline's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.bench import programs
from tests.bench.counting import Calls, per_unit, total
from tests.support.servers import Server

FEW, MANY = 10, 110
MEBIBYTES = 64


@pytest.fixture(scope="module")
def echo() -> Iterator[int]:
    with programs.listening(programs.python("target", "echo")) as port:
        yield port


@pytest.fixture(scope="module")
def bulk() -> Iterator[int]:
    with programs.listening(programs.python("target", "bulk")) as port:
        yield port


def baseline(proxy: Server, port: int, what: str) -> programs.Argv:
    return programs.python("client", "baseline", proxy.port, port, what)


def ours(proxy: Server, port: int, what: str) -> programs.Argv:
    return programs.socksified(programs.python("client", "plain", proxy.port, port, what), proxy.port, port)


def test_the_baseline_makes_nine_calls(microsocks: Server, echo: int) -> None:
    calls = per_unit(baseline(microsocks, echo, "connections"), FEW, MANY)
    assert calls == {"socket": 1, "connect": 1, "sendto": 3, "recvfrom": 3, "close": 1}


@pytest.mark.parametrize("name", ["microsocks", "danted"])
def test_a_connection_costs_three_calls_more_at_most(name: str, request: pytest.FixtureRequest, echo: int) -> None:
    server: Server = request.getfixturevalue(name)
    floor: Calls = per_unit(baseline(server, echo, "connections"), FEW, MANY)
    calls = per_unit(ours(server, echo, "connections"), FEW, MANY)
    # Two poll(2), and fstat(2): whoever uses the descriptor's number later has to know whose it is.
    assert total(calls) <= total(floor) + 3, calls
    # By its older or its newer name: glibc 2.33 to 2.40 has the former.
    assert calls.get("newfstatat", 0) + calls.get("fstat", 0) == 1
    # What counts is a connection that was made through the proxy, not one past it.
    assert calls["sendto"] == floor["sendto"]


def test_the_tunnel_itself_costs_nothing(danted: Server, bulk: int) -> None:
    floor = per_unit(baseline(danted, bulk, "mebibytes"), 1, 1 + MEBIBYTES)
    assert per_unit(ours(danted, bulk, "mebibytes"), 1, 1 + MEBIBYTES) == floor == {"sendto": 4, "recvfrom": 4}


def test_a_loop_with_nothing_pending_costs_nothing(microsocks: Server, echo: int) -> None:
    loop = programs.python("echo_loop", echo)
    native = per_unit(loop, FEW, MANY)
    assert per_unit(programs.socksified(loop, microsocks.port, echo), FEW, MANY) == native
    assert native == {"epoll_wait": 2, "sendto": 2, "recvfrom": 2}
