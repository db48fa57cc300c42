"""Clients that send much, little or nothing, and clients that do not read."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from itertools import pairwise
from time import monotonic

import pytest

from socksify import _originals
from socksify.server.core import loop as looping
from socksify.server.core.loop import Loop
from socksify.server.net.listeners import listen
from socksify.server.operation import responder
from socksify.server.operation.responder import Responder
from tests.support.streams import receive
from tests.unit.server.loops import running_loop


def answers(answer: Callable[[bytes], bytes | None]) -> Callable[[Loop], tuple[str, int]]:
    def make(loop: Loop) -> tuple[str, int]:
        listener = listen(loop, "127.0.0.1", 0)
        Responder(loop, listener, answer)
        name: tuple[str, int] = listener.getsockname()
        return name

    return make


def read(stream: socket.socket) -> bytes:
    return b"".join(iter(lambda: stream.recv(65536), b""))


def test_who_says_nothing_can_be_answered() -> None:
    with running_loop(answers(lambda _: b"hello")) as address, socket.create_connection(address, 10) as stream:
        assert read(stream) == b"hello"


def test_a_question_may_come_byte_by_byte() -> None:
    def echo(asked: bytes) -> bytes | None:
        return asked.upper() if asked.endswith(b"?") else None

    with running_loop(answers(echo)) as address, socket.create_connection(address, 10) as stream:
        for byte in b"why?":
            stream.sendall(bytes([byte]))
        assert read(stream) == b"WHY?"


def test_a_long_answer_waits_for_who_reads_slowly() -> None:
    long = os.urandom(4_000_000)
    with running_loop(answers(lambda _: long)) as address, socket.create_connection(address, 10) as stream:
        assert receive(stream, 1) == long[:1]
        assert read(stream) == long[1:]


@pytest.mark.parametrize("asked", [b"", b"x", b"x" * (responder.MAX_REQUEST_BYTES + 1)])
def test_who_does_not_come_to_the_point_is_left(asked: bytes) -> None:
    with running_loop(answers(lambda _: None)) as address, socket.create_connection(address, 10) as stream:
        stream.sendall(asked)
        if len(asked) <= responder.MAX_REQUEST_BYTES:
            stream.shutdown(socket.SHUT_WR)
        assert read(stream) == b""


def test_who_takes_too_long_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responder, "CLIENT_SECONDS", 0.05)
    with running_loop(answers(lambda _: None)) as address, socket.create_connection(address, 10) as stream:
        assert read(stream) == b""


def test_few_are_served_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new client takes the place of the oldest one."""
    monkeypatch.setattr(responder, "MAX_CLIENTS", 1)
    with running_loop(answers(lambda asked: asked or None)) as address, ExitStack() as stack:
        first, second = (stack.enter_context(socket.create_connection(address, 10)) for _ in range(2))
        assert read(first) == b""
        second.sendall(b"me")
        assert read(second) == b"me"


def test_silent_ones_keep_nobody_from_an_answer() -> None:
    """More silent clients than are served at a time, before and after a client with a request."""
    with running_loop(answers(lambda asked: asked or None)) as address, ExitStack() as stack:
        for _ in range(3):
            for _ in range(responder.MAX_CLIENTS + 4):
                stack.enter_context(socket.create_connection(address, 10))
            with socket.create_connection(address, 10) as stream:
                stream.sendall(b"me")
                assert read(stream) == b"me"


def test_who_is_being_answered_stays_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responder, "MAX_CLIENTS", 2)
    long = bytes(8_000_000)
    with running_loop(answers(lambda asked: long if asked else None)) as address, ExitStack() as stack:
        busy, silent, last = (stack.enter_context(socket.create_connection(address, 10)) for _ in range(3))
        # The first two clients filled all places, so the first one was closed. The rest is about the others.
        assert read(busy) == b""
        silent.sendall(b"now")
        assert receive(silent, 1) == long[:1]
        another = stack.enter_context(socket.create_connection(address, 10))
        assert read(last) == b""
        assert len(receive(silent, len(long) - 1)) == len(long) - 1
        another.sendall(b"now")
        assert receive(another, 1) == long[:1]


def test_who_goes_away_takes_nothing_along() -> None:
    with running_loop(answers(lambda _: bytes(4_000_000))) as address:
        for _ in range(2 * responder.MAX_CLIENTS):
            socket.create_connection(address, 10).close()
        with socket.create_connection(address, 10) as stream:
            assert len(read(stream)) == 4_000_000


def test_without_descriptors_it_waits_until_there_are_some(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that cannot be accepted stays in the queue, which would wake up the loop again and again."""
    tried: list[float] = []

    def make(loop: Loop) -> tuple[str, int]:
        accept = loop.accept

        def short(listener: _originals.Socket) -> tuple[_originals.Socket, object]:
            tried.append(monotonic())
            if len(tried) <= 3:
                raise OSError(errno.EMFILE, "Too many open files")
            return accept(listener)

        monkeypatch.setattr(loop, "accept", short)
        return answers(lambda _: b"hello")(loop)

    monkeypatch.setattr(looping, "PAUSE_SECONDS", 0.05)
    with running_loop(make) as address, socket.create_connection(address, 10) as stream:
        assert read(stream) == b"hello"
    assert all(later - earlier >= 0.04 for earlier, later in pairwise(tried))


def test_a_closed_one_does_not_come_back_from_its_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Responder] = []
    tried, over = threading.Event(), threading.Event()

    def make(loop: Loop) -> tuple[Loop, tuple[str, int]]:
        def short(_: _originals.Socket) -> tuple[_originals.Socket, object]:
            tried.set()
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(loop, "accept", short)
        listener = listen(loop, "127.0.0.1", 0)
        made.append(Responder(loop, listener, lambda _: b""))
        return loop, listener.getsockname()

    monkeypatch.setattr(looping, "PAUSE_SECONDS", 0.05)
    mistakes: list[str] = []
    monkeypatch.setattr("traceback.print_exc", lambda: mistakes.append("one"))
    with running_loop(make) as (loop, address), socket.create_connection(address, 10):
        assert tried.wait(10)
        loop.call(made[0].close)
        loop.call(lambda: loop.after(0.1, over.set))
        assert over.wait(10)
    assert mistakes == []


def test_closing_ends_what_is_under_way() -> None:
    made: list[Responder] = []
    heard = threading.Event()

    def answer(asked: bytes) -> None:
        if asked:
            heard.set()

    def make(loop: Loop) -> tuple[Loop, tuple[str, int]]:
        listener = listen(loop, "127.0.0.1", 0)
        made.append(Responder(loop, listener, answer))
        return loop, listener.getsockname()

    with running_loop(make) as (loop, address), socket.create_connection(address, 10) as stream:
        stream.sendall(b"now")
        assert heard.wait(10)
        loop.call(made[0].close)
        assert read(stream) == b""
        # Sockets are closed after the events at hand. At the next events all of them are closed.
        closed = threading.Event()
        loop.call(closed.set)
        assert closed.wait(10)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, 10)
