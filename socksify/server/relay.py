"""Bytes between a client and its target, each direction to its own end of file.

The original `sockd` ended both directions at the first end of file, which cut off every answer to a request that is
ended by a half-close. Here an end of file is passed on when what came before it is, and the pair is closed when both
directions have seen theirs. What a direction wants of epoll is computed from its state each time, never adjusted:
it reads only when it holds nothing, so that a slow reader holds up the writer, as without a proxy.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

from socksify import _real
from socksify.server.loop import READABLE, WRITABLE, Loop

# The most that a direction holds, in bytes.
CHUNK = 256 * 1024


class Flow:
    """One direction: what was read of `source` and not yet written to `sink`."""

    __slots__ = ("carried", "done", "ended", "held", "sink", "source")

    def __init__(self, source: _real.Socket, sink: _real.Socket, held: bytes = b"") -> None:
        self.source = source
        self.sink = sink
        self.held = memoryview(held)
        self.ended = False
        self.done = False
        # Bytes passed on so far; what was held from the start is not the peer's and does not count.
        self.carried = -len(held)

    def advance(self) -> None:
        """Moves what can be moved now. Raises OSError when one of the two connections is gone."""
        try:
            if not self.held and not self.ended:
                self._read()
            if self.held:
                self._write()
        except BlockingIOError:
            return
        if self.ended and not self.held and not self.done:
            self._finish()

    def _read(self) -> None:
        self.held = memoryview(self.source.recv(CHUNK))
        self.ended = not self.held

    def _write(self) -> None:
        sent = self.sink.send(self.held, socket.MSG_NOSIGNAL)
        self.carried += sent
        self.held = self.held[sent:]

    def _finish(self) -> None:
        self.done = True
        self.sink.shutdown(socket.SHUT_WR)

    def wants(self, stream: _real.Socket) -> int:
        """What this direction waits for on one of its two sockets."""
        if self.held:
            return WRITABLE if stream is self.sink else 0
        return READABLE if stream is self.source and not self.ended else 0


class Relay:
    """Both directions; `greeting` is written to the client before anything else. Calls `over` once, at the end."""

    def __init__(
        self,
        loop: Loop,
        client: _real.Socket,
        target: _real.Socket,
        greeting: bytes,
        over: Callable[[OSError | None], None],
    ) -> None:
        self._loop = loop
        self._over = over
        self.outward = Flow(client, target)
        self.back = Flow(target, client, greeting)

    def advance(self) -> None:
        """Moves both directions and watches for what they then want."""
        try:
            self.outward.advance()
            self.back.advance()
        except OSError as error:
            self._abort(error)
            return
        if self.outward.done and self.back.done:
            self._end(None)
            return
        for stream in (self.outward.source, self.back.source):
            mask = self.outward.wants(stream) | self.back.wants(stream)
            self._loop.watch(stream.fileno(), mask, self.advance)

    def close(self) -> None:
        """Ends both connections without a last word."""
        for stream in (self.outward.source, self.back.source):
            self._loop.discard(stream)

    def _abort(self, error: OSError) -> None:
        # One side was reset, and the other is to see that it was no end of file: SO_LINGER of 0 makes close() a reset.
        for stream in (self.outward.source, self.back.source):
            _real.setsockopt(stream, socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._end(error)

    def _end(self, error: OSError | None) -> None:
        self.close()
        self._over(error)
