"""Signals reach the loop, whatever the process does at the time."""

from __future__ import annotations

import os
import signal

import pytest

from socksify.server.core.loop import Loop
from socksify.server.core.signals import Signals


def test_a_signal_makes_its_call(loop: Loop) -> None:
    calls = []
    signals = Signals(loop)
    signals.handle(signal.SIGUSR1, lambda: calls.append("one"))
    signals.handle(signal.SIGUSR2, loop.stop)
    os.kill(os.getpid(), signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGUSR2)
    loop.run()
    signals.close()
    assert calls == ["one"]


def test_a_sleeping_loop_is_woken(loop: Loop) -> None:
    signals = Signals(loop)
    signals.handle(signal.SIGALRM, loop.stop)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    loop.run()
    signals.close()


def test_the_last_call_counts(loop: Loop) -> None:
    calls = []
    signals = Signals(loop)
    signals.handle(signal.SIGUSR1, lambda: calls.append("first"))
    signals.handle(signal.SIGUSR1, loop.stop)
    os.kill(os.getpid(), signal.SIGUSR1)
    loop.run()
    signals.close()
    assert calls == []


def test_a_call_that_fails_does_not_make_it_deaf(loop: Loop, capsys: pytest.CaptureFixture[str]) -> None:
    """The loop gives up a descriptor whose handler raises. This descriptor must stay: it ends the server."""
    signals = Signals(loop)
    signals.handle(signal.SIGUSR1, lambda: 1 / 0)
    signals.handle(signal.SIGUSR2, loop.stop)
    loop.call(lambda: signal.raise_signal(signal.SIGUSR1))
    loop.after(0.05, lambda: signal.raise_signal(signal.SIGUSR2))
    overdue = loop.after(5.0, loop.stop)
    loop.run()
    overdue.cancel()
    signals.close()
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert loop.now < overdue.due


def test_closing_leaves_everything_as_it_was(loop: Loop) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    wakeup = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(wakeup)
    descriptors = len(os.listdir("/proc/self/fd"))
    signals = Signals(loop)
    signals.handle(signal.SIGUSR1, loop.stop)
    assert signal.getsignal(signal.SIGUSR1) is not before
    signals.close()
    assert signal.getsignal(signal.SIGUSR1) is before
    assert signal.set_wakeup_fd(wakeup) == -1
    assert len(os.listdir("/proc/self/fd")) == descriptors


def test_more_signals_than_a_pipe_holds_are_no_trouble(loop: Loop) -> None:
    signals = Signals(loop)
    signals.handle(signal.SIGUSR1, loop.stop)
    for _ in range(70_000):
        signal.raise_signal(signal.SIGUSR1)
    loop.run()
    signals.close()
