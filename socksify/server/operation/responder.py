"""Short answers on a local socket: the metrics by HTTP, the live sessions on a Unix socket.

These clients must never take anything from the sessions. So there are few of them at a time, a request is short, and
each client has little time. If there are too many, a new client replaces the oldest: silent connections cannot keep
others from an answer.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from socksify import _originals
from socksify.server.core.loop import READABLE, WRITABLE, Loop

# The most clients at a time, and the seconds that each of them has.
MAX_CLIENTS = 16
CLIENT_SECONDS = 10.0
# The most bytes of a request, and of one read or write.
MAX_REQUEST_BYTES = 8192
CHUNK_BYTES = 262_144


class Responder:
    """Answers the clients of `listener`, a listening socket of the loop. Must be closed.

    `answer` is called with all bytes that a client has sent so far, at first with b"". It returns the whole answer, or
    None if the request is not complete yet.
    """

    def __init__(self, loop: Loop, listener: _originals.Socket, answer: Callable[[bytes], bytes | None]) -> None:
        self.loop = loop
        self.answer = answer
        self._listener = listener
        # In the order of their arrival.
        self._clients: dict[_Client, None] = {}
        loop.watch(listener.fileno(), READABLE, self._accept)

    def close(self) -> None:
        """Close the listener and the connections of all clients."""
        self.loop.discard(self._listener)
        for client in [*self._clients]:
            client.close()

    def forget(self, client: _Client) -> None:
        """Drop a client whose connection is closed."""
        self._clients.pop(client, None)

    def _accept(self, _fd: int, _events: int) -> None:
        try:
            stream, _ = self.loop.accept(self._listener)
        except OSError:
            # The client has gone already, or no descriptors are left. The server reports the latter.
            self.loop.pause(self._listener, self._accept)
            return
        while len(self._clients) >= MAX_CLIENTS:
            self._first_to_drop().close()
        self._clients[_Client(self, stream)] = None

    def _first_to_drop(self) -> _Client:
        """Return the oldest client whose request is not complete, otherwise the oldest of all."""
        return next((client for client in self._clients if not client.is_answered), next(iter(self._clients)))


class _Client:
    """A connection: reads the request, writes the answer, and closes."""

    def __init__(self, responder: Responder, stream: _originals.Socket) -> None:
        self._responder = responder
        self._stream = stream
        self._request = b""
        # True while the answer is written.
        self.is_answered = False
        self._unsent = memoryview(b"")
        self._timer = responder.loop.after(CLIENT_SECONDS, self.close)
        self._answer_if_complete()

    def close(self) -> None:
        self._timer.cancel()
        self._responder.loop.discard(self._stream)
        self._responder.forget(self)

    def _answer_if_complete(self) -> None:
        answer = self._responder.answer(self._request)
        if answer is None:
            self._responder.loop.watch(self._stream.fileno(), READABLE, self._read)
        else:
            self.is_answered = True
            self._unsent = memoryview(answer)
            self._responder.loop.watch(self._stream.fileno(), WRITABLE, self._write)

    def _read(self, _fd: int, _events: int) -> None:
        try:
            data = self._stream.recv(CHUNK_BYTES)
        except OSError:
            data = b""
        self._request += data
        if data and len(self._request) <= MAX_REQUEST_BYTES:
            self._answer_if_complete()
        else:
            self.close()

    def _write(self, _fd: int, _events: int) -> None:
        try:
            self._unsent = self._unsent[self._stream.send(self._unsent[:CHUNK_BYTES], socket.MSG_NOSIGNAL) :]
        except BlockingIOError:
            return
        except OSError:
            self._unsent = memoryview(b"")
        if not self._unsent:
            self.close()
