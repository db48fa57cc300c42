"""The relay passes bytes between a client and its target, each direction up to its own end of file.

The original `sockd` ended both directions at the first end of file. This cut off every answer to a request that ends
with a half-close. Here an end of file is passed on after the data before it, and the relay ends when both
directions have ended. The events for which a socket is watched are always computed from the states of the two
flows.

A flow is one direction. While it holds data that its sink does not take, it reads nothing: a slow reader holds up the
writer, as it does without a proxy, and the memory of a flow is bounded. Most flows carry small pieces: recv_into()
fills a buffer that all flows share, and send() empties it. A flow with a large piece is bulk, and is spliced through a
pipe for as long as its pieces are large. Splicing takes a third of the processor's time, but more system calls than
copying small pieces.

There may be thousands of relays, most of them idle. An idle relay consists of its two flows and nothing else. A relay
that carries bulk moves to the bulk thread.
"""

from __future__ import annotations

import socket
import struct
from functools import partial

from socksify import _originals
from socksify.server.core.descriptors import SCRATCH, Pipe, Pipes
from socksify.server.core.loop import READABLE, WRITABLE, Loop
from socksify.server.session.bulk_thread import BulkLoop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class RelayOwner(Protocol):
        """The session that a relay belongs to."""

        @property
        def over(self) -> bool:
            """True if the session has closed the relay."""

        def bulk_loop(self) -> BulkLoop | None:
            """Return the loop of the bulk thread, None if there is no such thread."""

        def relayed(self, error: OSError | None) -> None:
            """End the session. `error` is the error that ended the relay, None if both directions have ended."""


# The states of a flow. It reads small pieces, or large ones; it is blocked, because its sink does not take the data
# that it holds; or it has ended. It reads in the first two states only.
SMALL, BULK, BLOCKED, ENDED = range(4)

# Pieces of this size are bulk: a single segment is at most 64 KiB less its headers.
BULK_BYTES = SCRATCH // 2
# How much is spliced at once.
SPLICE_BYTES = 1 << 20

_NOSIGNAL = int(socket.MSG_NOSIGNAL)
# SO_LINGER of 0 makes close() a reset.
_RESET = struct.pack("ii", 1, 0)


class Flow:
    """The direction from `source` to `sink`, which begins at the time `now` with the data `held`.

    `carried` counts the bytes that were passed on, `last_active` is the loop's time of the last event. The flow handles
    the events of `source`. It deals with small pieces itself and leaves other events to its relay. It also tells
    its relay when it is blocked or has ended.
    """

    __slots__ = ("_held", "_pipe", "_relay", "carried", "last_active", "sink", "source", "state")

    def __init__(
        self, relay: Relay, source: _originals.Socket, sink: _originals.Socket, now: float, held: bytes = b""
    ) -> None:
        self._relay = relay
        self.source = source
        self.sink = sink
        self.carried = 0
        self.last_active = now
        self.state = BLOCKED if held else SMALL
        self._held: bytes | memoryview = held
        self._pipe: Pipe | None = None

    def __call__(self, _fd: int, events: int) -> None:
        relay = self._relay
        loop = relay.loop
        self.last_active = loop.now
        if self.state != SMALL or events & WRITABLE:
            relay.handle(self, events)
            return
        try:
            self._copy(loop.pipes.scratch)
        except BlockingIOError:
            return
        except OSError as error:
            relay.abort(error)
            return
        if self.state > BULK:
            relay.stopped_reading(self)

    def advance(self, pipes: Pipes) -> None:
        """Move one piece, as far as it can be moved now. Raises OSError if one of the two connections is gone."""
        try:
            if self.state == SMALL:
                self._copy(pipes.scratch)
            elif self._held:
                self._write()
            else:
                self._splice(pipes)
        except BlockingIOError:
            pass

    def reset_to_small(self) -> None:
        """Expect small pieces, until a large one comes."""
        if self.state == BULK:
            self.state = SMALL

    def close(self, pipes: Pipes) -> None:
        """Give the pipe back, and handle no more events."""
        # The relay knows the flow, too: a reference cycle would be left to the garbage collector.
        del self._relay
        if self._pipe is not None:
            pipes.give(self._pipe)
            self._pipe = None

    def _copy(self, scratch: memoryview) -> None:
        count = self.source.recv_into(scratch)
        if not count:
            self.state = ENDED
            return
        self.state = BULK if count >= BULK_BYTES else SMALL
        try:
            sent = self.sink.send(scratch[:count], _NOSIGNAL)
        except BlockingIOError:
            sent = 0
        self.carried += sent
        if sent < count:
            self._held = bytes(scratch[sent:count])
            self.state = BLOCKED

    def _write(self) -> None:
        sent = self.sink.send(self._held, _NOSIGNAL)
        self.carried += sent
        rest = memoryview(self._held)[sent:]
        self._held = rest or b""
        # A flow that was blocked has filled the sink's buffers, so it is bulk.
        self.state = BLOCKED if rest else BULK

    def _splice(self, pipes: Pipes) -> None:
        """Fill a pipe and empty it. Copy if there is no pipe."""
        self._pipe = pipe = self._pipe or pipes.take()
        if pipe is None:
            self._copy(pipes.scratch)
            return
        try:
            if not pipe.held:
                # Linux splices nothing beyond an urgent byte, and says EAGAIN or end of file there. Only recv(2) tells
                # which of the two it is, so the next piece is copied if this one is small.
                self.state = SMALL
                if pipe.fill(self.source.fileno(), SPLICE_BYTES) >= BULK_BYTES:
                    self.state = BULK
            if pipe.held:
                self.carried += pipe.drain(self.sink.fileno())
        finally:
            self._give_back(pipe, pipes)

    def _give_back(self, pipe: Pipe, pipes: Pipes) -> None:
        """Give an empty pipe back; keep one that still holds data."""
        if pipe.held:
            self.state = BLOCKED
            return
        if self.state == BLOCKED:
            self.state = BULK
        self._pipe = None
        pipes.give(pipe)


class Relay:
    """Both directions between `client` and `target`; `start` begins, and `owner.relayed` is called once, at the end.

    `early` is the data that the client has sent after its request. `loop` is the loop that watches the two sockets now:
    the main loop or the bulk thread's.
    """

    __slots__ = ("_home", "_owner", "loop", "to_client", "to_target")
    name = "relaying"

    def __init__(
        self, loop: Loop, client: _originals.Socket, target: _originals.Socket, early: bytes, owner: RelayOwner
    ) -> None:
        self.loop = self._home = loop
        self._owner = owner
        self.to_target = Flow(self, client, target, loop.now, early)
        self.to_client = Flow(self, target, client, loop.now)

    @property
    def up(self) -> int:
        return self.to_target.carried

    @property
    def down(self) -> int:
        return self.to_client.carried

    @property
    def last_active(self) -> float:
        """The loop's time of the last event on either socket."""
        return max(self.to_target.last_active, self.to_client.last_active)

    @property
    def over(self) -> bool:
        """True if the relay was closed."""
        return self._owner.over

    def start(self) -> None:
        if self.to_target.state == BLOCKED:
            try:
                self.to_target.advance(self.loop.pipes)
            except OSError as error:
                self.abort(error)
                return
            self.to_target.reset_to_small()
        self.watch()

    def close(self) -> None:
        """Close the connection to the target. The session itself closes the client's connection."""
        loop = self.loop
        if isinstance(loop, BulkLoop):
            with loop.lock:
                loop.drop(self)
                self._close_flows(loop)
        else:
            self._close_flows(loop)
        self._home.discard(self.to_client.source)

    def is_small(self, since: float) -> bool:
        """Return True if both flows carry only small pieces. A flow that has been idle since `since` is reset to small.

        `since` is a time of the loop.
        """
        flows = self.to_target, self.to_client
        if self.last_active < since:
            for flow in flows:
                flow.reset_to_small()
        return all(flow.state in (SMALL, ENDED) for flow in flows)

    def move_to(self, loop: Loop) -> None:
        """Let `loop` watch both sockets, from the next `watch` on."""
        self.loop = loop

    def watch(self) -> None:
        """Watch both sockets in `loop`. The thread of `loop` calls this."""
        if not self.over:
            to_target, to_client = self.to_target, self.to_client
            watch = self.loop.watch
            watch(to_target.source.fileno(), _mask(to_target, to_client), to_target)
            watch(to_client.source.fileno(), _mask(to_client, to_target), to_client)

    def unwatch(self) -> None:
        """Stop watching both sockets."""
        for flow in (self.to_target, self.to_client):
            self.loop.watch(flow.source.fileno(), 0, flow)

    def handle(self, flow: Flow, events: int) -> None:
        """Handle events of the source of `flow`, which is the sink of the other flow."""
        other = self._other(flow)
        if self.loop is self._home and BULK in (flow.state, other.state) and self._move_to_bulk_thread():
            return
        before = flow.state, other.state
        try:
            # A hang-up may come with unread data. recv(2) reports the end after the last byte.
            if events != WRITABLE and flow.state <= BULK:
                flow.advance(self.loop.pipes)
            if events != READABLE and before[1] == BLOCKED:
                other.advance(self.loop.pipes)
        except OSError as error:
            self.abort(error)
            return
        if other.state != before[1]:
            self.watch()
        if flow.state > BULK and flow.state != before[0]:
            self.stopped_reading(flow)

    def stopped_reading(self, flow: Flow) -> None:
        """Handle a flow that has ended, or that is blocked by its sink."""
        other = self._other(flow)
        if flow.state == BLOCKED:
            self.watch()
        elif other.state == ENDED:
            self._end(None)
        else:
            self.loop.watch(flow.source.fileno(), _mask(flow, other), flow)
            self._half_close(flow)

    def abort(self, error: OSError) -> None:
        """End the relay after one side has reset its connection.

        Both connections are reset, because the other side must not take the end for an end of file.
        """
        for stream in (self.to_target.source, self.to_client.source):
            if stream.family != socket.AF_UNIX:
                _originals.setsockopt(stream, socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._end(error)

    def _move_to_bulk_thread(self) -> bool:
        """Move this relay to the bulk thread. Return False if that thread could not be started."""
        bulk = self._owner.bulk_loop()
        if bulk is None:
            return False
        self.unwatch()
        self.loop = bulk
        bulk.take(self)
        return True

    def _half_close(self, flow: Flow) -> None:
        """Pass an end of file on."""
        try:
            flow.sink.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.abort(error)

    def _end(self, error: OSError | None) -> None:
        if isinstance(self.loop, BulkLoop):
            self.loop.drop(self)
            self._home.call(partial(self._owner.relayed, error))
        else:
            self._owner.relayed(error)

    def _close_flows(self, loop: Loop) -> None:
        self.to_target.close(loop.pipes)
        self.to_client.close(loop.pipes)

    def _other(self, flow: Flow) -> Flow:
        return self.to_client if flow is self.to_target else self.to_target


def _mask(reading: Flow, writing: Flow) -> int:
    """Return the events for a socket from which the flow `reading` reads, and to which `writing` writes."""
    mask = READABLE if reading.state <= BULK else 0
    return mask | WRITABLE if writing.state == BLOCKED else mask
