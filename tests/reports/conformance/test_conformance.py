"""A part of `make conformance` in every run of the suite: some of CPython's own tests, through danted.

What fails is run natively as well, so that a machine on which it never worked is no news.
"""

from __future__ import annotations

import pytest

from tests.reports.conformance.limits import limit_of
from tests.reports.conformance.proxies import connections
from tests.reports.conformance.runs import NATIVELY, run, through
from tests.support.servers import Server

SOCKETS = (
    "BasicTCPTest",
    "CreateServerFunctionalTest",
    "NetworkConnectionAttributesTest",
    "NetworkConnectionNoServer",
    "NonBlockingTCPTests",
    "RecvmsgIntoTCPTest",
    "SendmsgTCPTest",
)
PARTS = {
    "test_asyncio.test_sock_lowlevel": ["test.test_asyncio.test_sock_lowlevel.EPollEventLoopTests"],
    "test_epoll": [],
    "test_socket": [f"test.test_socket.{name}" for name in SOCKETS],
}


@pytest.mark.parametrize("module", PARTS)
def test_cpythons_own_tests_pass_through_danted(danted: Server, module: str) -> None:
    before = connections(danted)
    outcomes = run(through(danted.url()), module, PARTS[module])
    bad = [test for test, outcome in outcomes.items() if outcome.is_bad and limit_of(test) is None]
    natively = run(NATIVELY, module, bad) if bad else {}
    assert {test: outcomes[test].told for test in bad if test not in natively or not natively[test].is_bad} == {}
    assert sum(outcome.verdict == "ok" for outcome in outcomes.values()) > 5
    assert connections(danted) > before
