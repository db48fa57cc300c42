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
from socksify.server.flow import Flow
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

    __slots__ = ("_loop", "_owner", "back", "outward", "stamp")
    stage = "relaying"

    def __init__(
        self,
        loop: Loop,
        client: _real.Socket,
        target: _real.Socket,
        early: bytes,
        owner: Owner,
    ) -> None:
        self._loop = loop
        self._owner = owner
        self.outward = Flow(client, target, early)
        self.back = Flow(target, client)
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
        if self.outward.waiting:
            try:
                self.outward.advance(self._loop.pipes)
            except OSError as error:
                self._abort(error)
                return
        self._watch()

    def __call__(self, fd: int, events: int) -> None:
        """Something is possible on one of the two sockets."""
        loop = self._loop
        self.stamp = loop.now
        read, written = self.outward, self.back
        if read.source.fileno() != fd:
            read, written = written, read
        changed = False
        try:
            waited = written.waiting
            # A hang-up is the end only when all that came before it was read: that is for recv(2) to say.
            if events != WRITABLE and not read.waiting and not read.ended:
                changed = read.advance(loop.pipes)
                # When both have ended the sockets are closed, which says the same.
                if read.ended and not written.ended:
                    read.finish()
            if waited and events != READABLE:
                changed = written.advance(loop.pipes) or changed
        except OSError as error:
            self._abort(error)
            return
        if changed:
            self._watch()

    def close(self) -> None:
        """Ends the connection to the target without a last word; the client's is the caller's."""
        self.outward.close(self._loop.pipes)
        self.back.close(self._loop.pipes)
        self._loop.discard(self.back.source)

    def _watch(self) -> None:
        outward, back = self.outward, self.back
        if outward.ended and back.ended:
            self._owner.relayed(None)
            return
        watch = self._loop.watch
        watch(outward.source.fileno(), _mask(outward, back), self)
        watch(back.source.fileno(), _mask(back, outward), self)

    def _abort(self, error: OSError) -> None:
        # One side was reset, and the other is to see that it was no end of file.
        for stream in (self.outward.source, self.back.source):
            if stream.family != socket.AF_UNIX:
                _real.setsockopt(stream, socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._owner.relayed(error)


def _mask(read: Flow, written: Flow) -> int:
    """What a socket is watched for that one flow reads and the other writes."""
    if read.ended or read.waiting:
        return WRITABLE if written.waiting else 0
    return READABLE | WRITABLE if written.waiting else READABLE
