"""Bytes between a client and its target, each direction to its own end of file.

The original `sockd` ended both directions at the first end of file, which cut off every answer to a request that is
ended by a half-close. Here an end of file is passed on when what came before it is, and the pair is closed when both
directions have seen theirs. What a socket is watched for is computed from the two flows' state, never adjusted.

There may be thousands of these, most of them idle: an idle one is its two flows and no more.
"""

from __future__ import annotations

import socket
import struct

from socksify import _real
from socksify.server.flow import BULK, ENDED, WAITING, Flow
from socksify.server.loop import READABLE, WRITABLE, Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Owner(Protocol):
        """Whose relay it is."""

        def relayed(self, error: OSError | None) -> None:
            """Both directions have come to their ends, or there was an error."""


# SO_LINGER of 0 makes close() a reset.
_RESET = struct.pack("ii", 1, 0)


class Relay:
    """Both directions between `client` and `target`; `start` begins, and `owner.relayed` is called once, at the end.

    `early` is what the client has already said behind its request.
    """

    __slots__ = ("_owner", "back", "loop", "outward", "stamp")
    stage = "relaying"

    def __init__(
        self,
        loop: Loop,
        client: _real.Socket,
        target: _real.Socket,
        early: bytes,
        owner: Owner,
    ) -> None:
        self.loop = loop
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

    def start(self) -> None:
        outward = self.outward
        if outward.state == WAITING:
            try:
                outward.advance(self.loop.pipes)
            except OSError as error:
                self.abort(error)
                return
        self._watch(outward, self.back)
        self._watch(self.back, outward)

    def turn(self, flow: Flow, events: int) -> None:
        """Something is possible on the source of `flow`, which may be to write there what the other one holds."""
        other = self._other(flow)
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
        if flow.state == ENDED != before[0]:
            self.turned(flow)
        elif (flow.state, other.state) != before:
            self._watch(flow, other)
            self._watch(other, flow)

    def turned(self, flow: Flow) -> None:
        """The flow, which read, has come to its end, or to wait for its sink."""
        other = self._other(flow)
        if flow.state == other.state == ENDED:
            self._owner.relayed(None)
            return
        self._watch(flow, other)
        if flow.state == WAITING:
            self._watch(other, flow)
        else:
            self._finish(flow)

    def abort(self, error: OSError) -> None:
        """One side was reset, and the other is to see that it was no end of file."""
        for stream in (self.outward.source, self.back.source):
            if stream.family != socket.AF_UNIX:
                _real.setsockopt(stream, socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._owner.relayed(error)

    def close(self) -> None:
        """Ends the connection to the target without a last word; the client's is the caller's."""
        self.outward.close(self.loop.pipes)
        self.back.close(self.loop.pipes)
        self.loop.discard(self.back.source)

    def _finish(self, flow: Flow) -> None:
        """Tells the sink that there is no more."""
        try:
            flow.sink.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.abort(error)

    def _other(self, flow: Flow) -> Flow:
        return self.back if flow is self.outward else self.outward

    def _watch(self, read: Flow, written: Flow) -> None:
        """Has the socket watched that one flow reads and the other writes."""
        mask = READABLE if read.state <= BULK else 0
        if written.state == WAITING:
            mask |= WRITABLE
        self.loop.watch(read.source.fileno(), mask, read)
