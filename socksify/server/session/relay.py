"""Bytes between a client and its target, each direction to its own end of file.

The original `sockd` ended both directions at the first end of file, which cut off every answer to a request that is
ended by a half-close. Here an end of file is passed on when what came before it is, and the pair is closed when both
directions have seen theirs. What a socket is watched for is computed from the two flows' state, never adjusted.

There may be thousands of these, most of them idle: an idle one is its two flows and no more. One that has proven to be
bulk moves to a thread beside the loop's.
"""

from __future__ import annotations

import os
import socket
import struct
from functools import partial

from socksify import _originals
from socksify.server.core.loop import READABLE, WRITABLE, Loop
from socksify.server.core.splice_pipes import SCRATCH, Pipe, Pipes
from socksify.server.session.bulk_thread import Bulk

TYPE_CHECKING = False

# One direction of a relay: what is read of one socket is written to the other, and at its end the end is passed on.
#
# Nothing is read while something is held, so a slow reader holds up the writer, as without a proxy, and what a flow
# holds is bounded. Most flows are small talk: recv_into() a buffer that all share, and send(). One with a large piece
# has proven to be bulk, and is spliced through a pipe for as long as it goes on in such pieces: that costs a third of
# the processor's time, and more system calls for what is small.


if TYPE_CHECKING:
    pass

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

    def __init__(self, relay: Relay, source: _originals.Socket, sink: _originals.Socket, held: bytes = b"") -> None:
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


if TYPE_CHECKING:
    from typing import Protocol

    class Owner(Protocol):
        """Whose relay it is."""

        # It has closed the relay.
        over: bool

        def bulk(self) -> Bulk | None:
            """Where bulk is moved; None where there is no such place."""

        def relayed(self, error: OSError | None) -> None:
            """Both directions have come to their ends, or there was an error."""


# SO_LINGER of 0 makes close() a reset.
_RESET = struct.pack("ii", 1, 0)
_SMALL = TALKING, ENDED


class Relay:
    """Both directions between `client` and `target`; `start` begins, and `owner.relayed` is called once, at the end.

    `early` is what the client has already said behind its request. `loop` is by what the two are watched for now.
    """

    __slots__ = ("_home", "_owner", "back", "loop", "outward", "stamp")
    stage = "relaying"

    def __init__(
        self,
        loop: Loop,
        client: _originals.Socket,
        target: _originals.Socket,
        early: bytes,
        owner: Owner,
    ) -> None:
        self.loop = self._home = loop
        self._owner = owner
        self.outward = Flow(self, client, target, early)
        self.back = Flow(self, target, client)
        # When something last happened.
        self.stamp = loop.now

    @property
    def up(self) -> int:
        """Bytes from the client to the target."""
        return self.outward.carried

    @property
    def down(self) -> int:
        """Bytes from the target to the client."""
        return self.back.carried

    @property
    def over(self) -> bool:
        """Whether it was closed."""
        return self._owner.over

    def is_small(self, since: float) -> bool:
        """Whether there is nothing but small talk: of what has rested since then, nobody knows better."""
        flows = self.outward, self.back
        if self.stamp < since:
            for flow in flows:
                flow.rest()
        return all(flow.state in _SMALL for flow in flows)

    def start(self) -> None:
        if self.outward.state == WAITING:
            try:
                self.outward.advance(self.loop.pipes)
            except OSError as error:
                self.abort(error)
                return
            self.outward.rest()
        self.watch()

    def watch(self) -> None:
        """Has both sockets watched by `loop`, in whose thread this is called."""
        if not self.over:
            outward, back = self.outward, self.back
            watch = self.loop.watch
            watch(outward.source.fileno(), _mask(outward, back), outward)
            watch(back.source.fileno(), _mask(back, outward), back)

    def unwatch(self) -> None:
        """Has them watched no more."""
        for flow in (self.outward, self.back):
            self.loop.watch(flow.source.fileno(), 0, flow)

    def turn(self, flow: Flow, events: int) -> None:
        """Something is possible on the source of `flow`, which may be to write there what the other one holds."""
        other = self._other(flow)
        if self.loop is self._home and BULK in (flow.state, other.state) and self._move():
            return
        before = flow.state, other.state
        try:
            # A hang-up is the end only when all that came before it was read: that is for recv(2) to say.
            if events != WRITABLE and flow.state <= BULK:
                flow.advance(self.loop.pipes)
            if events != READABLE and before[1] == WAITING:
                other.advance(self.loop.pipes)
        except OSError as error:
            self.abort(error)
            return
        if other.state != before[1]:
            self.watch()
        if flow.state > BULK and flow.state != before[0]:
            self.turned(flow)

    def turned(self, flow: Flow) -> None:
        """The flow, which read, has come to its end, or to wait for its sink."""
        other = self._other(flow)
        if flow.state == WAITING:
            self.watch()
        elif other.state == ENDED:
            self._end(None)
        else:
            self.loop.watch(flow.source.fileno(), _mask(flow, other), flow)
            self._finish(flow)

    def abort(self, error: OSError) -> None:
        """One side was reset, and the other is to see that it was no end of file."""
        for stream in (self.outward.source, self.back.source):
            if stream.family != socket.AF_UNIX:
                _originals.setsockopt(stream, socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._end(error)

    def close(self) -> None:
        """Ends the connection to the target without a last word; the client's is the caller's, as is the thread."""
        loop = self.loop
        if isinstance(loop, Bulk):
            with loop.lock:
                loop.drop(self)
                self._close_flows(loop)
        else:
            self._close_flows(loop)
        self._home.discard(self.back.source)

    def _close_flows(self, loop: Loop) -> None:
        self.outward.close(loop.pipes)
        self.back.close(loop.pipes)

    def _move(self) -> bool:
        """Leaves the loop to who is small; where there is somewhere to go."""
        bulk = self._owner.bulk()
        if bulk is None:
            return False
        self.unwatch()
        self.loop = bulk
        bulk.take(self)
        return True

    def _end(self, error: OSError | None) -> None:
        if isinstance(self.loop, Bulk):
            self.loop.drop(self)
            self._home.call(partial(self._owner.relayed, error))
        else:
            self._owner.relayed(error)

    def _finish(self, flow: Flow) -> None:
        """Tells the sink that there is no more."""
        try:
            flow.sink.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.abort(error)

    def _other(self, flow: Flow) -> Flow:
        return self.back if flow is self.outward else self.outward


def _mask(read: Flow, written: Flow) -> int:
    """What a socket is watched for that one flow reads and the other writes."""
    mask = READABLE if read.state <= BULK else 0
    return mask | WRITABLE if written.state == WAITING else mask
