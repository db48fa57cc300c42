"""The last stage of a session that was refused: the client is given time to read the answer."""

from __future__ import annotations

import socket

from socksify.server.core.loop import READABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.server.core.calls import Timer
    from socksify.server.session.stage import SessionContext

# RFC 1928 section 6: after a failure the server "must terminate the TCP connection shortly after ... no more than 10
# seconds".
SECONDS = 5.0


class LingeringClose:
    """Half-closes the connection, and ends the session when the client has closed it too, or after SECONDS.

    Data that the client still sends is read meanwhile. Otherwise close(2) would send a reset, and the reset would
    destroy the answer before the client has read it.
    """

    name = "leaving"
    up = down = 0

    def __init__(self, context: SessionContext) -> None:
        self._context = context
        self._timer: Timer | None = None

    def start(self) -> None:
        stream, loop = self._context.stream, self._context.loop
        try:
            stream.shutdown(socket.SHUT_WR)
        except OSError:
            self._end()
            return
        self._timer = loop.after(SECONDS, self._end)
        loop.watch(stream.fileno(), READABLE, self._drain)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _drain(self, _fd: int, _events: int) -> None:
        try:
            is_closed = not self._context.stream.recv_into(self._context.loop.pipes.scratch)
        except BlockingIOError:
            return
        except OSError:
            is_closed = True
        if is_closed:
            self._end()

    def _end(self) -> None:
        self._context.end("left")
