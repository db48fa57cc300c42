"""One direction of a relay: what is read of one socket is written to the other, and at its end the end is passed on.

Nothing is read while something is held, so a slow reader holds up the writer, as without a proxy, and what a flow
holds is bounded. Most flows are small talk: recv_into() a buffer that all share, and send(). One that fills the buffer
has proven to be bulk, and is spliced through a pipe for as long as it goes on in large pieces: that costs a third of
the processor's time, and more system calls for what is small.
"""

from __future__ import annotations

import os
import socket

from socksify import _real
from socksify.server.pipes import SCRATCH, Pipe, Pipes

# Spliced at once, at most; pieces that are smaller than the buffer for small talk are no longer bulk.
BULK = 1 << 20

_NOSIGNAL = int(socket.MSG_NOSIGNAL)
_SPLICE = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK


class Flow:
    """From `source` to `sink`, beginning with `held`.

    `carried` counts the bytes passed on. `waiting` says that the sink has to be written before anything is read,
    `ended` that the source has sent its last, and that it was passed on: nothing is read before that.
    """

    __slots__ = ("_bulk", "_held", "_pipe", "carried", "ended", "sink", "source", "waiting")

    def __init__(self, source: _real.Socket, sink: _real.Socket, held: bytes = b"") -> None:
        self.source = source
        self.sink = sink
        self.carried = 0
        self.ended = False
        self.waiting = bool(held)
        self._held: bytes | memoryview = held
        self._pipe: Pipe | None = None
        self._bulk = False

    def advance(self, pipes: Pipes) -> bool:
        """Moves one piece, as far as it can be moved now; whether `waiting` has changed, or the flow has ended.

        Raises OSError when one of the two connections is gone.
        """
        waited = self.waiting
        try:
            if waited or self._bulk:
                self._go_on(pipes)
            else:
                self._copy(pipes.scratch)
        except BlockingIOError:
            pass
        return self.ended or self.waiting is not waited

    def finish(self) -> None:
        """Tells the sink that there is no more; raises OSError when it is gone."""
        self.sink.shutdown(socket.SHUT_WR)

    def close(self, pipes: Pipes) -> None:
        """Gives back what was lent."""
        if self._pipe is not None:
            pipes.give(self._pipe)
            self._pipe = None

    def _go_on(self, pipes: Pipes) -> None:
        """With what is held, or with bulk."""
        if self._held:
            self._write()
            return
        self._pipe = pipe = self._pipe or pipes.take()
        if pipe is None:
            self._copy(pipes.scratch)
        else:
            self._splice(pipe, pipes)

    def _copy(self, scratch: memoryview) -> None:
        count = self.source.recv_into(scratch)
        if not count:
            self.ended = True
            return
        self._bulk = count == SCRATCH
        try:
            sent = self.sink.send(scratch[:count], _NOSIGNAL)
        except BlockingIOError:
            sent = 0
        self.carried += sent
        if sent < count:
            self._held = bytes(scratch[sent:count])
            self.waiting = True

    def _write(self) -> None:
        sent = self.sink.send(self._held, _NOSIGNAL)
        self.carried += sent
        self.waiting = sent < len(self._held)
        self._held = memoryview(self._held)[sent:] if self.waiting else b""

    def _splice(self, pipe: Pipe, pipes: Pipes) -> None:
        """Fills the pipe and empties it; gives it back when it is empty."""
        try:
            if not pipe.held and not self.ended:
                # Linux splices nothing past an urgent byte, and says EAGAIN or end of file there: recv(2) knows better.
                self._bulk = False
                pipe.held = os.splice(self.source.fileno(), pipe.writer, BULK, flags=_SPLICE)
                self._bulk = pipe.held >= SCRATCH
            if pipe.held:
                moved = os.splice(pipe.reader, self.sink.fileno(), pipe.held, flags=_SPLICE)
                pipe.held -= moved
                self.carried += moved
        finally:
            self.waiting = bool(pipe.held)
            if not pipe.held:
                self._pipe = None
                pipes.give(pipe)
