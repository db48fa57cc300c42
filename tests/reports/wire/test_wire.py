"""Not one packet that should be proxied leaves by another way: seen on the wire, of unmodified programs.

The test builds its networks as root; elsewhere it says that it cannot. Each program runs natively first, and must be
seen to leak: what the proof cannot see, it cannot prove. Then it runs under socksify, without and with strict; the
network must hear nothing but TCP to the proxy, and the program must get the same result, or be told no.
"""

from __future__ import annotations

import sys

import pytest

from tests.reports.wire.matrix import ROWS, Case, Expected
from tests.reports.wire.runs import run
from tests.reports.wire.ways import natively, ours
from tests.support.network.addresses import CLOSED_PROXY
from tests.support.network.recorded import RecordedNetwork

# Those of the standard library that a new Python may well break are run on each in every run.
EVERY_VERSION = {"asyncio_streams", "child", "executor", "fetch", "lookups", "select_stream"}
CASES = [
    pytest.param(case, marks=[pytest.mark.every_version] if case.program in EVERY_VERSION else [], id=case.command)
    for row in ROWS
    for case in row.cases
]


@pytest.mark.parametrize("case", CASES)
def test_on_the_wire(network: RecordedNetwork, case: Case) -> None:
    native = run(network, natively(), case)
    assert native.status == 0, native.story
    assert native.kinds >= set(case.leaks.split()), native.story
    for strict in (False, True):
        proxied = run(network, ours(strict), case)
        assert proxied.verdict(native) == case.verdict(strict), f"strict={strict}, {proxied.story}"
        if case.expected in (Expected.HERE, Expected.REFUSED):
            assert not proxied.packets
        if case.expected is Expected.OK:
            assert proxied.packets


@pytest.mark.parametrize("strict", [False, True])
def test_no_call_leaks_whatever_its_arguments(network: RecordedNetwork, strict: bool) -> None:
    """Thousands of look-ups, connects, binds and sends, their arguments drawn by lot; natively a few dozen will do."""
    assert run(network, natively(), Case("anything 0 60")).kinds >= {"dns", "tcp", "udp"}
    proxied = run(network, ours(strict), Case(f"anything {sys.version_info.minor} 5000"))
    assert proxied.output == "done", proxied.story
    assert proxied.packets
    assert not proxied.leaked, proxied.story


@pytest.mark.parametrize("command", ["fetch http://target.example/", "asyncio_streams target.example 7", "own_name"])
def test_nothing_goes_direct_because_the_proxy_is_away(network: RecordedNetwork, command: str) -> None:
    away = run(network, ours(strict=False, proxy=CLOSED_PROXY), Case(command))
    assert {str(packet) for packet in away.packets} <= {"tcp to {} port {}".format(*CLOSED_PROXY)}, away.story
    assert (away.status == 0) == (command == "own_name")
