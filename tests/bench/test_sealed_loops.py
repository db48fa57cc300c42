"""An event loop in C is not held up by the handshakes of its sealed connects, and these do not wait for each other."""

from __future__ import annotations

import pytest

from tests.bench import programs, sealed_loops
from tests.support.sealed import require_seal

CONNECTS = 10
DELAY = 0.3


@pytest.mark.parametrize("name", ["node", "uvloop"])
def test_a_loop_goes_on(name: str) -> None:
    require_seal()
    slow = programs.python("slow_proxy", "--delay", DELAY)
    with programs.listening(programs.python("target", "echo")) as echo, programs.listening(slow) as proxy:
        argv = sealed_loops.loops(proxy, echo)[name]
        with programs.workers({"ours": programs.sealed(argv, proxy, echo)}) as started:
            figures = started["ours"].block(CONNECTS)
    # The proxy thinks twice.
    assert 2 * DELAY <= figures["seconds"] < CONNECTS * DELAY
    assert figures["late"] < DELAY
