"""Signals are read with their senders, and the terminal's are told from others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from socksify.seal.processes.signals import Signal, SignalReader
from tests.support.forks import run_in_child


def in_child(test: Callable[[SignalReader], bool]) -> bool:
    """Run a test in a child with all signals blocked."""

    def child() -> bool:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        return test(SignalReader())

    return run_in_child(child) == 0


def test_nothing_is_read_if_nothing_is_pending() -> None:
    assert in_child(lambda reader: list(reader.read()) == [])


def test_a_signal_is_read_with_its_sender() -> None:
    def test(reader: SignalReader) -> bool:
        os.kill(os.getpid(), signal.SIGUSR1)
        subprocess.run([sys.executable, "-c", f"import os; os.kill({os.getpid()}, 15)"], check=True)
        read = {received.number: received for received in reader.read()}
        return (
            read[10] == Signal(10, False, os.getpid())
            and read[15].sender not in (0, os.getpid())
            and signal.SIGCHLD in read
            and list(reader.read()) == []
        )

    assert in_child(test)


def test_the_kernels_signals_are_known() -> None:
    def test(reader: SignalReader) -> bool:
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        import select

        select.select([reader], [], [], 10)
        return list(reader.read()) == [Signal(signal.SIGALRM, True, 0)]

    assert in_child(test)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGWINCH])
def test_keys_of_the_terminal_reach_the_group(number: int) -> None:
    assert Signal(number, True, 0).has_reached_group()
    assert not Signal(number, False, 0).has_reached_group()
    assert not Signal(signal.SIGALRM, True, 0).has_reached_group()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGCONT])
def test_a_hangup_reaches_the_leader_of_the_session_alone(number: int) -> None:
    def child() -> bool:
        before = Signal(number, True, 0).has_reached_group()
        os.setsid()
        return before and not Signal(number, True, 0).has_reached_group()

    assert run_in_child(child) == 0
