"""One direction of a relay: what is read of one socket is written to the other, and at its end the end is passed on.

Nothing is read while something is held, so a slow reader holds up the writer, as without a proxy, and what a flow
holds is bounded. Most flows are small talk: recv_into() a buffer that all share, and send(). One with a large piece has
proven to be bulk, and is spliced through a pipe for as long as it goes on in such pieces: that costs a third of the
processor's time, and more system calls for what is small.
"""

from __future__ import annotations

import os
import socket

from socksify import _real
from socksify.server.loop import WRITABLE
from socksify.server.pipes import SCRATCH, Pipe, Pipes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.server.relay import Relay

# What comes next: to read a little, or much; to write what is held, before which nothing is read; nothing any more.
TALKING, BULK, WAITING, ENDED = range(4)

# Pieces from there on are bulk; one segment may be no longer than 64 KiB less its headers. So much is spliced at once.
LARGE, MOST = SCRATCH // 2, 1 << 20

_NOSIGNAL = int(socket.MSG_NOSIGNAL)
_SPLICE = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK


class Flow:
    """From `source` to `sink`, beginning with `held`. `carried` counts the bytes passed on.

    It handles the events of `source`, of which those for small talk are nobody else's business; `relay` is told the
    others, and when the flow has come to wait or to end.
    """

    __slots__ = ("_held", "_pipe", "_relay", "carried", "sink", "source", "state")

    def __init__(self, relay: Relay, source: _real.Socket, sink: _real.Socket, held: bytes = b"") -> None:
        self._relay = relay
        self.source = source
        self.sink = sink
        self.carried = 0
        self.state = WAITING if held else TALKING
        self._held: bytes | memoryview = held
        self._pipe: Pipe | None = None

    def __call__(self, _fd: int, events: int) -> None:
        relay = self._relay
        relay.stamp = relay.loop.now
        if self.state != TALKING or events & WRITABLE:
            relay.turn(self, events)
            return
        try:
            self._copy(relay.loop.pipes.scratch)
        except BlockingIOError:
            return
        except OSError as error:
            relay.abort(error)
            return
        if self.state > BULK:
            relay.turned(self)

    def advance(self, pipes: Pipes) -> None:
        """Moves one piece, as far as it can be moved now. Raises OSError when one of the two connections is gone."""
        try:
            if self.state == TALKING:
                self._copy(pipes.scratch)
            elif self._held:
                self._write()
            else:
                self._splice(pipes)
        except BlockingIOError:
            pass

    def rest(self) -> None:
        """Is small talk again, until it proves otherwise."""
        if self.state == BULK:
            self.state = TALKING

    def close(self, pipes: Pipes) -> None:
        """Gives back what was lent, and handles nothing more."""
        # Which knows us, too.
        del self._relay
        if self._pipe is not None:
            pipes.give(self._pipe)
            self._pipe = None

    def _copy(self, scratch: memoryview) -> None:
        count = self.source.recv_into(scratch)
        if not count:
            self.state = ENDED
            return
        self.state = BULK if count >= LARGE else TALKING
        try:
            sent = self.sink.send(scratch[:count], _NOSIGNAL)
        except BlockingIOError:
            sent = 0
        self.carried += sent
        if sent < count:
            self._held = bytes(scratch[sent:count])
            self.state = WAITING

    def _write(self) -> None:
        sent = self.sink.send(self._held, _NOSIGNAL)
        self.carried += sent
        rest = memoryview(self._held)[sent:]
        self._held = rest or b""
        # Who has to wait until the sink's buffers are empty enough, has filled them.
        self.state = WAITING if rest else BULK

    def _splice(self, pipes: Pipes) -> None:
        """Fills a pipe and empties it; gives it back when it is empty."""
        self._pipe = pipe = self._pipe or pipes.take()
        if pipe is None:
            self._copy(pipes.scratch)
            return
        try:
            if not pipe.held:
                # Linux splices nothing past an urgent byte, and says EAGAIN or end of file there: recv(2) knows better.
                self.state = TALKING
                pipe.held = os.splice(self.source.fileno(), pipe.writer, MOST, flags=_SPLICE)
                if pipe.held >= LARGE:
                    self.state = BULK
            if pipe.held:
                moved = os.splice(pipe.reader, self.sink.fileno(), pipe.held, flags=_SPLICE)
                pipe.held -= moved
                self.carried += moved
        finally:
            self._put_away(pipe, pipes)

    def _put_away(self, pipe: Pipe, pipes: Pipes) -> None:
        if pipe.held:
            self.state = WAITING
            return
        if self.state == WAITING:
            self.state = BULK
        self._pipe = None
        pipes.give(pipe)
