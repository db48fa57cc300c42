"""The last stage of a session that was refused: what was said to the client is to reach it."""

from __future__ import annotations

import socket

from socksify.server.core.loop import READABLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify.server.core.timers import Timer
    from socksify.server.session.session import Session

# RFC 1928 section 6: after a failure the server "must terminate the TCP connection shortly after ... no more than 10
# seconds". Until then what the client still sends is taken: it would turn the close into a reset that eats the reply.
SECONDS = 5.0


class Farewell:
    """Ends the connection by FIN, and the session when the client has done so, too, or is late."""

    stage = "leaving"
    up = down = 0

    def __init__(self, session: Session) -> None:
        self._session = session
        self._timer: Timer | None = None

    def start(self) -> None:
        try:
            self._session.stream.shutdown(socket.SHUT_WR)
        except OSError:
            self._leave()
            return
        loop = self._session.server.loop
        self._timer = loop.after(SECONDS, self._leave)
        loop.watch(self._session.stream.fileno(), READABLE, self._drain)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _drain(self, _fd: int, _events: int) -> None:
        try:
            gone = not self._session.stream.recv_into(self._session.server.loop.pipes.scratch)
        except BlockingIOError:
            return
        except OSError:
            gone = True
        if gone:
            self._leave()

    def _leave(self) -> None:
        self._session.end("left")
