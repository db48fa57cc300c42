"""Addresses are tried in turn. The errno is that of the last address that there was a route to."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import pytest

from socksify import _originals
from socksify.server.core.loop import Loop
from socksify.server.net.dialer import Dial
from socksify.server.net.resolver import Candidate
from tests.support.targets import Target


@pytest.fixture
def refusing() -> Iterator[Candidate]:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        yield socket.AF_INET, nobody.getsockname()


def unprepared(*_: object) -> None:
    pass


def dialled(loop: Loop, *candidates: Candidate, seconds: float = 30.0) -> tuple[_originals.Socket | None, int]:
    outcome: list[tuple[_originals.Socket | None, int]] = []

    def done(stream: _originals.Socket | None, failure: int) -> None:
        outcome.append((stream, failure))
        loop.stop()

    Dial(loop, list(candidates), done, unprepared, seconds).start()
    loop.run()
    assert len(outcome) == 1
    return outcome[0]


def test_the_first_that_answers_is_taken(loop: Loop, refusing: Candidate, echo_server: Target) -> None:
    stream, failure = dialled(loop, refusing, (socket.AF_INET, echo_server.address))
    assert failure == 0
    assert stream is not None
    assert stream.getpeername() == echo_server.address
    assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_the_last_failure_is_told(loop: Loop, refusing: Candidate) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.create_connection(full.getsockname()):
        silent = socket.AF_INET, full.getsockname()
        assert dialled(loop, silent, refusing, seconds=0.05) == (None, errno.ECONNREFUSED)
        loop = Loop()
        assert dialled(loop, refusing, silent, seconds=0.05) == (None, errno.ETIMEDOUT)
        loop.close()


def test_an_address_without_a_route_does_not_hide_the_failure_of_another(loop: Loop, refusing: Candidate) -> None:
    """Most names have addresses of both families, and getaddrinfo(3) puts unreachable addresses last."""
    no_way = socket.AF_INET, ("255.255.255.255", 9)
    no_family = socket.AF_APPLETALK, ("127.0.0.1", 9)
    assert dialled(loop, no_way, refusing, no_way, no_family) == (None, errno.ECONNREFUSED)
    loop = Loop()
    assert dialled(loop, no_way) == (None, errno.ENETUNREACH)
    loop.close()


def test_nowhere_to_go(loop: Loop) -> None:
    assert dialled(loop) == (None, errno.EHOSTUNREACH)


def test_a_family_that_there_is_not(loop: Loop) -> None:
    assert dialled(loop, (socket.AF_APPLETALK, ("127.0.0.1", 9)))[0] is None


def test_silence_has_an_end(loop: Loop) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.create_connection(full.getsockname()):
        silent = socket.AF_INET, full.getsockname()
        assert dialled(loop, silent, seconds=0.05) == (None, errno.ETIMEDOUT)


def test_a_closed_dial_says_nothing(loop: Loop, refusing: Candidate) -> None:
    outcome: list[object] = []
    attempt = Dial(loop, [refusing], lambda *said: outcome.append(said), unprepared)
    attempt.start()
    attempt.close()
    loop.after(0.05, loop.stop)
    loop.run()
    assert outcome == []
