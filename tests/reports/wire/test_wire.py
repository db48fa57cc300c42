"""No packet of an unmodified program bypasses the proxy: the packets on the program's wire are recorded.

The test builds its networks as root; without root it is skipped. Each program runs natively first and must leak: this
shows that the recording sees such packets. Then the program runs under socksify, without and with strict. The only
packets must be TCP to the proxy, and the program must get the same result or an exception.
"""

from __future__ import annotations

import sys

import pytest

from tests.reports.client_runs import run
from tests.reports.launchers import python, socksify
from tests.reports.wire.matrix import ROWS, Case, Expected
from tests.support.network.addresses import CLOSED_PROXY
from tests.support.network.recorded import RecordedNetwork

# A new Python may well break these programs of the standard library, so they run on every version each time.
EVERY_VERSION = {"asyncio_streams", "child", "executor", "fetch", "lookups", "select_stream"}
CASES = [
    pytest.param(case, marks=[pytest.mark.every_version] if case.program in EVERY_VERSION else [], id=case.command)
    for row in ROWS
    for case in row.cases
]


@pytest.mark.parametrize("case", CASES)
def test_on_the_wire(network: RecordedNetwork, case: Case) -> None:
    native = run(network, python(), case.command)
    assert native.status == 0, native.story
    assert native.kinds >= set(case.leaks.split()), native.story
    for strict in (False, True):
        proxied = run(network, socksify(strict), case.command, case.imported_early)
        assert proxied.verdict(native) == case.verdict(strict), f"strict={strict}, {proxied.story}"
        if case.expected in (Expected.HERE, Expected.REFUSED):
            assert not proxied.packets
        if case.expected is Expected.OK:
            assert proxied.packets


@pytest.mark.parametrize("strict", [False, True])
def test_no_call_leaks_whatever_its_arguments(network: RecordedNetwork, strict: bool) -> None:
    """Thousands of look-ups, connects, binds and sends with random arguments; natively, a few dozen leak already."""
    assert run(network, python(), "anything 0 60").kinds >= {"dns", "tcp", "udp"}
    proxied = run(network, socksify(strict), f"anything {sys.version_info.minor} 5000")
    assert proxied.output == "done", proxied.story
    assert proxied.packets
    assert not proxied.leaked, proxied.story


@pytest.mark.parametrize("command", ["fetch http://target.example/", "asyncio_streams target.example 7", "own_name"])
def test_nothing_goes_direct_when_the_proxy_is_down(network: RecordedNetwork, command: str) -> None:
    down = run(network, socksify(strict=False, proxy=CLOSED_PROXY), command)
    assert {str(packet) for packet in down.packets} <= {"tcp to {} port {}".format(*CLOSED_PROXY)}, down.story
    assert (down.status == 0) == (command == "own_name")
