"""The pending handshakes, as threads come to them all at once."""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from socksify.tunnel.registry import registry

ROUNDS = 30_000


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty")
def test_who_is_first_may_be_asked_while_others_come_and_go() -> None:
    """A poller asks at each wait, whatever another thread, or the garbage collector in its own, begins and ends."""
    # Never over: servers of other tests poll in this process, and would end it.
    handshake: Any = SimpleNamespace(limit=1.5, deadline=math.inf, share=1.5, candidates=[])
    over = threading.Event()

    def come_and_go() -> None:
        while not over.is_set():
            tunnel: Any = SimpleTunnel(handshake)
            registry.deadlines.add(tunnel)
            registry.deadlines.limit(tunnel, handshake)
            registry.deadlines.discard(tunnel)

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for _ in range(ROUNDS):
            registry.deadlines.oldest()
            registry.deadlines.next_over()
    finally:
        over.set()
        thread.join()


class SimpleTunnel:
    def __init__(self, handshake: Any) -> None:
        self.handshake = handshake
        self.watchers: dict[tuple[int, int], int] = {}
