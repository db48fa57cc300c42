"""A connection to a name server (RFC 7766), natively or through proxies. Several queries share it.

The connection is opened with the first query, and closed when there was none for a while. Each query has an identifier
of our own on the connection, because two clients may have chosen the same one.
"""

from __future__ import annotations

from itertools import count

from socksify._originals import monotonic
from socksify.seal.dns import response
from socksify.seal.dns.message import Incoming, framed
from socksify.server.core.loop import READABLE, WRITABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from socksify import _originals
    from socksify.seal.dns.message import Query
    from socksify.seal.dns.native_exchange import Done
    from socksify.server.core.calls import Timer
    from socksify.server.core.loop import Loop

    # Opens a connection, and calls its argument once: with a socket of the loop, or None if there is no connection.
    Connect = Callable[[Callable[[_originals.Socket | None], object]], object]

# Seconds for the response to a query, and for the connection that it may have to wait for.
_ANSWER_SECONDS = 10.0
# RFC 7766 section 6.2.3 leaves the time to us.
_IDLE_SECONDS = 10.0
_READ = 1 << 16
# RFC 7766 section 6.2.4: a server may close a connection at any time, and the queries are then sent again.
_TRIES = 2


class _Question:
    """A query that waits for its response since `begun`. `tries` counts the connections on which it was sent."""

    __slots__ = ("begun", "done", "query", "timer", "tries")

    def __init__(self, query: Query, done: Done, begun: float, timer: Timer) -> None:
        self.begun = begun
        self.query = query
        self.done = done
        self.timer = timer
        self.tries = 0

    def sent(self) -> None:
        self.tries += 1

    def end(self, data: bytes | None) -> None:
        self.timer.cancel()
        self.done(data)


class Connection:
    """The connection to one name server. `closed` is called when it is not used any more."""

    def __init__(self, loop: Loop, connect: Connect, closed: Callable[[], object]) -> None:
        self._loop = loop
        self._connect = connect
        self._closed = closed
        self._identifiers = count()
        self._questions: dict[int, _Question] = {}
        self._stream: _originals.Socket | None = None
        self._is_connecting = False
        self._is_closed = False
        self._incoming = Incoming()
        self._outgoing = bytearray()
        # When something was received.
        self._heard_at = 0.0
        self._idle: Timer | None = None

    def ask(self, query: Query, done: Done) -> None:
        """Send a query. `done` is called once: with the response, or None if there is none in time."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        identifier = self._free_identifier()
        timer = self._loop.after(_ANSWER_SECONDS, lambda: self._expire(identifier))
        question = self._questions[identifier] = _Question(query, done, monotonic(), timer)
        if self._stream is not None:
            self._send(identifier, question)
        elif not self._is_connecting:
            self._open()

    def close(self) -> None:
        """End the connection. Queries without a response get none."""
        self._is_closed = True
        if self._idle is not None:
            self._idle.cancel()
        self._disconnect()
        self._fail(tuple(self._questions))
        self._closed()

    def _free_identifier(self) -> int:
        # The caller bounds the number of queries.
        return next(number for number in (each & 0xFFFF for each in self._identifiers) if number not in self._questions)

    def _open(self) -> None:
        self._is_connecting = True
        try:
            self._connect(self._connected)
        except OSError:  # no descriptor is left
            self._connected(None)

    def _connected(self, stream: _originals.Socket | None) -> None:
        self._is_connecting = False
        if stream is None:
            self._fail(tuple(self._questions))
            return
        if self._is_closed:
            self._loop.discard(stream)
            return
        self._stream = stream
        self._incoming = Incoming()
        for identifier, question in self._questions.items():
            self._send(identifier, question)
        self._wait()

    def _send(self, identifier: int, question: _Question) -> None:
        question.sent()
        self._outgoing += framed(identifier.to_bytes(2, "big") + question.query.data[2:])
        self._wait()

    def _wait(self) -> None:
        if self._stream is not None:
            mask = READABLE | WRITABLE if self._outgoing else READABLE
            self._loop.watch(self._stream.fileno(), mask, self._handle)

    def _handle(self, _fd: int, events: int) -> None:
        stream = self._stream
        if stream is None:
            return
        try:
            if events & WRITABLE and self._outgoing:
                del self._outgoing[: stream.send(self._outgoing)]
                self._wait()
            if events & ~WRITABLE:
                self._read(stream)
        except BlockingIOError:
            pass
        except OSError:
            self._lose()

    def _read(self, stream: _originals.Socket) -> None:
        data = stream.recv(_READ)
        if not data:
            self._lose()
            return
        self._heard_at = monotonic()
        for each in self._incoming.feed(data):
            self._answered(int.from_bytes(each[:2], "big"), each)

    def _expire(self, identifier: int) -> None:
        begun = self._questions[identifier].begun
        self._answered(identifier, None)
        if self._stream is not None and self._heard_at < begun:
            # The server is gone without a word. TCP itself would notice that after many minutes.
            self._lose()

    def _answered(self, identifier: int, data: bytes | None) -> None:
        """Take the response to a query; None if there is none."""
        question = self._questions.get(identifier)
        if question is None:
            return
        if data is not None:
            data = question.query.data[:2] + data[2:]
            if not response.belongs_to(question.query, data):
                return
        del self._questions[identifier]
        question.end(data)
        self._rest()

    def _rest(self) -> None:
        """Close the connection after a while without a query."""
        if not self._questions and not self._is_closed and self._idle is None:
            self._idle = self._loop.after(_IDLE_SECONDS, self.close)

    def _lose(self) -> None:
        """Send the queries without a response again, on a new connection."""
        self._disconnect()
        self._fail([each for each, question in self._questions.items() if question.tries >= _TRIES])
        if self._questions and not self._is_connecting:
            self._open()

    def _disconnect(self) -> None:
        self._outgoing.clear()
        if self._stream is not None:
            self._loop.discard(self._stream)
            self._stream = None

    def _fail(self, identifiers: Sequence[int]) -> None:
        for identifier in identifiers:
            self._answered(identifier, None)
