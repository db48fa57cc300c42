"""Queries that share a connection to a name server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import dns.message
import pytest

from socksify.seal.dns import connection
from socksify.seal.dns.connection import Connection
from socksify.seal.dns.message import Query
from socksify.seal.dns.native_exchange import NativeDial
from socksify.server.core.loop import Loop
from tests.unit.seal.dns.parts import HOST, SECONDS, Script, Stream, response_to, tcp_server


class Client:
    """A connection to a server on loopback, and the responses that came."""

    def __init__(self, loop: Loop, port: int) -> None:
        self._loop = loop
        self._changed = threading.Condition()
        self.opened = 0
        self.closed = 0
        self.responses: list[tuple[int, str]] = []
        self._connection = Connection(loop, lambda done: self._connect(port, done), self._close)

    def ask(self, number: int, name: str) -> None:
        query = Query(dns.message.make_query(name, "TXT", id=number).to_wire(), over_tcp=True)
        self._loop.call(lambda: self._connection.ask(query, lambda data: self._done(number, data)))

    def wait(self, reached: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(reached, SECONDS), self.responses

    def wait_for(self, responses: int) -> None:
        self.wait(lambda: len(self.responses) == responses)

    def _connect(self, port: int, done: Callable[..., object]) -> None:
        self.opened += 1
        NativeDial(self._loop, (HOST, port), done)

    def _close(self) -> None:
        with self._changed:
            self.closed += 1
            self._changed.notify()

    def _done(self, number: int, data: bytes | None) -> None:
        text = "" if data is None else str(dns.message.from_wire(data).answer[0][0])
        assert data is None or dns.message.from_wire(data).id == number
        with self._changed:
            self.responses.append((number, text))
            self._changed.notify()


@pytest.fixture
def connect(loop: Loop) -> Iterator[Callable[[int], Client]]:
    """Return a client of a port. The loop runs in a thread."""
    thread = threading.Thread(target=loop.run)
    thread.start()
    yield lambda port: Client(loop, port)
    loop.stop()
    thread.join(SECONDS)
    assert not thread.is_alive()


Connect = Callable[[int], Client]


def queries(stream: Stream, count: int) -> list[dns.message.Message]:
    found = [stream.receive() for _ in range(count)]
    return [each for each in found if each is not None]


def named(query: dns.message.Message) -> dns.message.Message:
    """Return a response whose text is the name that was asked for."""
    return response_to(query, f'TXT "{query.question[0].name}"')


def test_responses_may_come_in_any_order(connect: Connect) -> None:
    def script(stream: Stream) -> None:
        asked = queries(stream, 3)
        assert len({each.id for each in asked}) == 3
        stream.send(*(named(each) for each in reversed(asked)))

    with tcp_server(script) as port:
        client = connect(port)
        # Two clients may choose the same identifier.
        client.ask(7, "a.example")
        client.ask(7, "b.example")
        client.ask(9, "c.example")
        client.wait_for(3)
    assert client.responses == [(9, '"c.example."'), (7, '"b.example."'), (7, '"a.example."')]
    assert client.opened == 1


def test_a_query_is_sent_again_if_the_server_closes_the_connection(connect: Connect) -> None:
    def first(stream: Stream) -> None:
        asked = queries(stream, 2)
        stream.send(named(asked[1]))

    def second(stream: Stream) -> None:
        (asked,) = queries(stream, 1)
        stream.send(named(asked))

    with tcp_server(first, second) as port:
        client = connect(port)
        client.ask(1, "a.example")
        client.ask(2, "b.example")
        client.wait_for(2)
    assert client.responses == [(2, '"b.example."'), (1, '"a.example."')]
    assert client.opened == 2


def test_a_query_is_not_sent_for_ever(connect: Connect) -> None:
    def script(stream: Stream) -> None:
        queries(stream, 1)

    with tcp_server(script, script) as port:
        client = connect(port)
        client.ask(1, "a.example")
        client.wait_for(1)
    assert client.responses == [(1, "")]
    assert client.opened == 2


def test_a_response_to_something_else_is_passed_over(connect: Connect) -> None:
    def script(stream: Stream) -> None:
        (asked,) = queries(stream, 1)
        other = dns.message.make_query("other.example", "TXT", id=asked.id)
        stranger = dns.message.make_query("a.example", "TXT", id=asked.id ^ 1)
        stream.send(named(other), named(stranger), b"", b"\0", asked.to_wire())
        stream.send(named(asked))

    with tcp_server(script) as port:
        client = connect(port)
        client.ask(1, "a.example")
        client.wait_for(1)
    assert client.responses == [(1, '"a.example."')]


def test_a_server_that_is_gone_without_a_word_is_left(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def silent(stream: Stream) -> None:
        queries(stream, 1)
        assert over.wait(SECONDS)

    monkeypatch.setattr(connection, "_ANSWER_SECONDS", 0.05)
    with tcp_server(silent, lambda stream: stream.send(*map(named, queries(stream, 1)))) as port:
        client = connect(port)
        client.ask(1, "a.example")
        client.wait_for(1)
        over.set()
        monkeypatch.setattr(connection, "_ANSWER_SECONDS", SECONDS)
        client.ask(2, "b.example")
        client.wait_for(2)
    assert client.responses == [(1, ""), (2, '"b.example."')]
    assert client.opened == 2


def test_one_slow_query_does_not_end_the_connection(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    def script(stream: Stream) -> None:
        slow, fast = queries(stream, 2)
        assert (str(slow.question[0].name), str(fast.question[0].name)) == ("slow.example.", "fast.example.")
        stream.send(named(fast))
        stream.send(*map(named, queries(stream, 1)))

    monkeypatch.setattr(connection, "_ANSWER_SECONDS", 1.0)
    with tcp_server(script) as port:
        client = connect(port)
        client.ask(1, "slow.example")
        client.ask(2, "fast.example")
        client.wait_for(2)
        client.ask(3, "next.example")
        client.wait_for(3)
    assert client.responses == [(2, '"fast.example."'), (1, ""), (3, '"next.example."')]
    assert client.opened == 1


@pytest.fixture
def idle_server() -> Iterator[Script]:
    ended = threading.Event()

    def script(stream: Stream) -> None:
        stream.send(*map(named, queries(stream, 1)))
        assert stream.receive() is None
        ended.set()

    yield script
    assert ended.wait(SECONDS)


def test_an_idle_connection_is_closed(connect: Connect, monkeypatch: pytest.MonkeyPatch, idle_server: Script) -> None:
    monkeypatch.setattr(connection, "_IDLE_SECONDS", 0.05)
    with tcp_server(idle_server) as port:
        client = connect(port)
        client.ask(1, "a.example")
        client.wait_for(1)
        client.wait(lambda: client.closed == 1)


def test_nobody_listens(connect: Connect) -> None:
    with tcp_server() as port:
        pass
    client = connect(port)
    client.ask(1, "a.example")
    client.wait_for(1)
    assert client.responses == [(1, "")]
