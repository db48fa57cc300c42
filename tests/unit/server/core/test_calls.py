"""Timers fire once and in order. A cancelled timer does not fire, and leaves nothing behind."""

from __future__ import annotations

from math import inf
from time import monotonic

import pytest

from socksify.server.core.calls import Timers
from socksify.server.core.loop import Loop


def test_they_fire_in_order_and_can_be_cancelled() -> None:
    fired: list[str] = []
    loop = Loop()
    loop.after(0.03, loop.stop)
    loop.after(0.02, lambda: fired.append("later"))
    loop.after(0.01, lambda: fired.append("sooner"))
    loop.after(0.0, lambda: fired.append("cancelled")).cancel()
    loop.run()
    loop.close()
    assert fired == ["sooner", "later"]


def test_a_cancelled_timer_leaves_nothing() -> None:
    timers = Timers()
    for number in range(100):
        timers.after(number, lambda: None).cancel()
    assert sum(map(len, timers._queues.values())) == 0
    assert len(timers._queues) == 1
    timers.fire(monotonic() + 1000)
    assert timers.due == inf


def test_a_mistake_in_one_does_not_keep_others_from_firing(capsys: pytest.CaptureFixture[str]) -> None:
    fired: list[int] = []

    def mistake() -> None:
        raise RuntimeError("a mistake")

    timers = Timers()
    timers.after(0, mistake)
    timers.after(0, lambda: fired.append(1))
    timers.fire(monotonic() + 1)
    timers.fire(monotonic() + 1)
    assert fired == [1]
    assert capsys.readouterr().err.count("RuntimeError: a mistake") == 1
