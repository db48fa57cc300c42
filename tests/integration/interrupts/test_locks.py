"""The one kind of lock that a signal handler, an exception at any bytecode and a fork may meet."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from functools import partial
from types import FrameType

import pytest

from socksify import _signal_safety
from socksify._signal_safety import OwnedLock
from socksify.routing.fake_addresses import FakeAddressTable
from tests.integration.interrupts.walking import Interrupted, interrupted, leave_by
from tests.support.forks import run_in_child

SECONDS = 10.0


def inside(lock: OwnedLock) -> bool:
    """Whether the lock is free for another thread; that leaves it at once."""
    taken: list[bool] = []

    def take() -> None:
        taken.append(lock.acquire())
        lock.release()

    thread = threading.Thread(target=take)
    thread.start()
    thread.join(SECONDS)
    return taken == [False]


@pytest.fixture
def held() -> Iterator[OwnedLock]:
    """A lock that another thread holds."""
    lock, ready, end = OwnedLock(0.05), threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            ready.set()
            end.wait(SECONDS)

    thread = threading.Thread(target=hold)
    thread.start()
    ready.wait(SECONDS)
    yield lock
    end.set()
    thread.join()


def test_it_keeps_others_out_and_tells_who_is_inside() -> None:
    lock = OwnedLock()
    with lock:
        assert lock.is_mine()
        assert inside(lock)
        # As a handler would find it.
        assert not lock.acquire(SECONDS)
    assert not lock.is_held()
    assert not inside(lock)
    assert not lock.was_broken


def test_a_frame_that_has_ended_holds_nothing() -> None:
    lock = OwnedLock()

    def leave_without_release() -> None:
        assert lock.acquire()
        raise Interrupted

    with pytest.raises(Interrupted):
        leave_without_release()
    assert not lock.is_held()
    assert lock.acquire()
    assert lock.was_broken


def test_waiting_for_another_thread_is_bounded(held: OwnedLock) -> None:
    assert not held.acquire()
    assert not held.acquire(0.01)
    with held:
        assert held.is_held()
        assert not held.is_mine()


def test_a_child_is_not_kept_waiting_by_a_thread_that_is_not_there(held: OwnedLock) -> None:
    def take() -> bool:
        return not held.is_held() and held.acquire()

    assert run_in_child(take) == 0
    assert held.is_held()


def test_a_child_of_a_handler_goes_on_inside() -> None:
    lock = OwnedLock()
    with lock:
        assert run_in_child(lambda: lock.is_mine() and not lock.acquire()) == 0


def test_forks_are_counted() -> None:
    before = _signal_safety.forks()
    assert run_in_child(lambda: _signal_safety.forks() == before + 1) == 0
    assert _signal_safety.forks() == before


def test_a_change_of_names_may_be_interrupted_at_every_bytecode() -> None:
    table, raised = FakeAddressTable(), 0
    for at in range(1, 400):
        name = f"host-{at}.example"
        # From Python 3.12 on a call now and then is not traced by bytecodes.
        try:
            interrupted(at, leave_by(Interrupted), partial(table.address_of, name))
        except Interrupted:
            raised += 1
        told: list[str | None] = []

        def ask(name: str = name, told: list[str | None] = told) -> None:
            told.append(table.name_of(table.address_of(name)))

        thread = threading.Thread(target=ask)
        thread.start()
        thread.join(SECONDS)
        assert told == [name], at
    assert raised > 20


def test_an_ancestors_ancestors_threads_are_not_there() -> None:
    """A child of a child: the lock was taken by the thread that made the first one, not by that of the second."""
    lock = OwnedLock()

    def fork_in_a_thread() -> bool:
        statuses: list[int] = []
        thread = threading.Thread(target=lambda: statuses.append(run_in_child(lambda: not lock.is_held())))
        thread.start()
        thread.join(SECONDS)
        return statuses == [0]

    with lock:
        assert run_in_child(fork_in_a_thread) == 0
    assert os.getpid()


def test_a_thread_that_leaves_while_another_one_looks_has_broken_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first thread releases the lock and ends between the other one's look at the list and that at the frame."""
    lock = OwnedLock()
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        lock.acquire()
        inside.set()
        leave.wait(10)
        lock.release()

    holder = threading.Thread(target=hold)
    holder.start()
    inside.wait(10)
    original = _signal_safety.is_running

    def is_running(frame: FrameType) -> bool:
        leave.set()
        holder.join(10)
        return original(frame)

    monkeypatch.setattr(_signal_safety, "is_running", is_running)
    assert lock.acquire()
    assert not lock.was_broken
    lock.release()
    assert lock.is_empty()
