"""Work in threads, for clients that want more of it than there are threads."""

from __future__ import annotations

import threading

import pytest

from socksify.server.core.loop import Loop
from socksify.server.core.thread_pool import MAX_THREADS, Threads


def test_one_client_does_not_hold_up_another(loop: Loop) -> None:
    go = threading.Event()
    answers: list[str] = []

    def answer(name: str) -> None:
        answers.append(name)
        if name == "other":
            go.set()
        if len(answers) == 10 * MAX_THREADS + 1:
            loop.stop()

    def slow() -> str:
        assert go.wait(10)
        return "one"

    threads = Threads(loop)
    for _ in range(10 * MAX_THREADS):
        threads.run("one", slow, answer)
    threads.run("other", lambda: "other", answer)
    loop.run()
    threads.close()
    assert answers[0] == "other"


def test_clients_take_turns(loop: Loop) -> None:
    go = threading.Event()
    done: list[str] = []
    threads = Threads(loop, 1)
    threads.run("a", lambda: str(go.wait(10)), done.append)
    for name in ("a1", "a2", "a3", "b1", "b2"):
        threads.run(name[0], lambda name=name: name, done.append)  # type: ignore[misc]

    def end(name: str) -> None:
        done.append(name)
        loop.stop()

    threads.run("c", lambda: "c", end)
    go.set()
    loop.run()
    threads.close()
    # An answer that comes after that may still come before the loop has stopped.
    assert done[:4] == ["True", "a1", "b1", "c"]


def test_alone_a_client_has_half_of_them(loop: Loop) -> None:
    go = threading.Event()
    lock = threading.Lock()
    busy: set[int] = set()
    answers: list[None] = []

    def work() -> None:
        with lock:
            busy.add(threading.get_ident())
        assert go.wait(10)

    def answer(_: None) -> None:
        answers.append(_)
        if len(answers) == 3 * MAX_THREADS:
            loop.stop()

    threads = Threads(loop)
    for _ in range(3 * MAX_THREADS):
        threads.run("one", work, answer)
    go.set()
    loop.run()
    threads.close()
    assert len(busy) <= MAX_THREADS // 2


def test_a_mistake_costs_no_thread(loop: Loop, capsys: pytest.CaptureFixture[str]) -> None:
    def mistaken() -> int:
        return 1 // 0

    answers: list[int] = []
    threads = Threads(loop, 1)
    for _ in range(3):
        threads.run("a", mistaken, answers.append)
    threads.run("a", lambda: 1, lambda _: loop.stop())
    loop.run()
    threads.close()
    assert answers == []
    assert capsys.readouterr().err.count("ZeroDivisionError") == 3
