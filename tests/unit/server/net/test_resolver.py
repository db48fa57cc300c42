"""Names are looked up by other threads. Literals are not looked up."""

from __future__ import annotations

import socket
import threading

import pytest

from socksify.protocol.address import NAME, Address
from socksify.server.core.loop import Loop
from socksify.server.core.thread_pool import MAX_THREADS, Threads
from socksify.server.net import resolver as module
from socksify.server.net.resolver import Candidate, Resolver, look_up

CLIENT = "192.0.2.1"


@pytest.mark.parametrize(
    ("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6), ("::ffff:127.0.0.1", socket.AF_INET6)]
)
@pytest.mark.parametrize("as_name", [False, True])
def test_a_literal_is_answered_at_once(host: str, family: int, as_name: bool, loop: Loop) -> None:
    answers: list[list[Candidate]] = []
    target = Address(NAME, host, 80) if as_name else Address.of(host, 80)
    Resolver(loop, Threads(loop)).resolve(target, answers.append, 10, CLIENT)
    assert answers == [[(family, (Address.of(host, 80).host, 80))]]


def test_a_name_is_answered_by_the_loop(loop: Loop) -> None:
    answers: list[tuple[int, list[Candidate]]] = []

    def answer(found: list[Candidate]) -> None:
        answers.append((threading.get_ident(), found))
        loop.stop()

    threads = Threads(loop)
    resolver = Resolver(loop, threads)
    resolver.resolve(Address.of("localhost", 80), answer, 10, CLIENT)
    assert answers == []
    loop.run()
    threads.close()
    [(thread, found)] = answers
    assert thread == threading.get_ident()
    assert (socket.AF_INET, ("127.0.0.1", 80)) in found


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 255, "x..y", "\udcff\udcfe"])
def test_a_failed_look_up_is_nowhere(host: str) -> None:
    assert look_up(Address(NAME, host, 80)) == []


def test_a_name_that_is_not_ascii_is_not_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some resolvers convert such a name to ASCII. That would be another name than the rules have judged."""
    monkeypatch.setattr("socksify._originals.getaddrinfo", lambda *_: pytest.fail("looked up"))
    assert look_up(Address(NAME, "\udcc3\udcbc..example", 80)) == []


def test_threads_are_few_and_unseen(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silent name servers hold up only a few threads, and the program around the server does not see them."""
    go, lock = threading.Event(), threading.Lock()
    busy: set[int] = set()
    answers: list[list[Candidate]] = []

    def slow(_: Address) -> list[Candidate]:
        with lock:
            busy.add(threading.get_ident())
        go.wait(10)
        return []

    def answer(found: list[Candidate]) -> None:
        answers.append(found)
        if len(answers) == 5 * MAX_THREADS:
            loop.stop()

    monkeypatch.setattr(module, "look_up", slow)
    threads = Threads(loop)
    resolver = Resolver(loop, threads)
    for number in range(5 * MAX_THREADS):
        resolver.resolve(Address.of("example.com", 80), answer, 10, f"192.0.2.{number}")
    seen = threading.enumerate()
    go.set()
    loop.run()
    threads.close()
    assert len(busy) <= MAX_THREADS
    assert not busy & {thread.ident for thread in seen}


def test_a_look_up_has_a_time_limit_and_is_not_made_after_it(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    asked: list[str] = []
    answers: list[list[Candidate]] = []

    def slow(name: Address) -> list[Candidate]:
        asked.append(name.host)
        go.wait(10)
        return [(socket.AF_INET, ("192.0.2.1", 80))]

    def answer(found: list[Candidate]) -> None:
        answers.append(found)
        if len(answers) == MAX_THREADS + 1:
            go.set()
            resolver.resolve(Address.of("next.example", 80), answer, 10, CLIENT)
        elif len(answers) > MAX_THREADS + 1:
            loop.stop()

    monkeypatch.setattr(module, "look_up", slow)
    threads = Threads(loop)
    resolver = Resolver(loop, threads)
    for number in range(MAX_THREADS + 1):
        resolver.resolve(Address.of(f"silent{number}.example", 80), answer, 0.05, f"192.0.2.{number}")
    loop.run()
    threads.close()
    assert answers == [[]] * (MAX_THREADS + 1) + [[(socket.AF_INET, ("192.0.2.1", 80))]]
    # Its turn came after all others, and then its time was over.
    assert f"silent{MAX_THREADS}.example" not in asked
