"""Short answers to whoever asks on a socket of our own: the metrics by HTTP, the live sessions on a Unix socket.

Beside the sessions, and never at their expense: few at a time, little is read of each, and nobody may take long. Who
comes when there are many takes the place of the oldest: silent connections keep nobody from an answer.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from socksify import _originals
from socksify.server.core.loop import READABLE, WRITABLE, Loop

MOST = 16
SECONDS = 10.0
MOST_ASKED = 8192
PIECE = 262_144


class Answers:
    """Answers on `listener`, which is the loop's; to be closed.

    `answer` is given what the asker has said so far, at first nothing, and returns None until that is enough.
    """

    def __init__(self, loop: Loop, listener: _originals.Socket, answer: Callable[[bytes], bytes | None]) -> None:
        self.loop = loop
        self.answer = answer
        self._listener = listener
        # In the order in which they came.
        self._askers: dict[_Asker, None] = {}
        loop.watch(listener.fileno(), READABLE, self._accept)

    def close(self) -> None:
        self.loop.discard(self._listener)
        for asker in [*self._askers]:
            asker.leave()

    def over(self, asker: _Asker) -> None:
        """One has its answer, or none."""
        self._askers.pop(asker, None)

    def _accept(self, _fd: int, _events: int) -> None:
        try:
            stream, _ = self.loop.accept(self._listener)
        except OSError:
            # It went away already, or there are no descriptors left, which the server tells.
            self.loop.pause(self._listener, self._accept)
            return
        while len(self._askers) >= MOST:
            self._least_wanted().leave()
        self._askers[_Asker(self, stream)] = None

    def _least_wanted(self) -> _Asker:
        """The oldest of those who have not asked yet, else the oldest of all."""
        return next((asker for asker in self._askers if not asker.answered), next(iter(self._askers)))


class _Asker:
    def __init__(self, answers: Answers, stream: _originals.Socket) -> None:
        self._answers = answers
        self._stream = stream
        self._asked = b""
        # Whether it is being told its answer.
        self.answered = False
        self._rest = memoryview(b"")
        self._timer = answers.loop.after(SECONDS, self.leave)
        self._consider()

    def leave(self) -> None:
        self._timer.cancel()
        self._answers.loop.discard(self._stream)
        self._answers.over(self)

    def _consider(self) -> None:
        answer = self._answers.answer(self._asked)
        if answer is None:
            self._answers.loop.watch(self._stream.fileno(), READABLE, self._hear)
        else:
            self.answered = True
            self._rest = memoryview(answer)
            self._answers.loop.watch(self._stream.fileno(), WRITABLE, self._tell)

    def _hear(self, _fd: int, _events: int) -> None:
        try:
            said = self._stream.recv(PIECE)
        except OSError:
            said = b""
        self._asked += said
        if said and len(self._asked) <= MOST_ASKED:
            self._consider()
        else:
            self.leave()

    def _tell(self, _fd: int, _events: int) -> None:
        try:
            self._rest = self._rest[self._stream.send(self._rest[:PIECE], socket.MSG_NOSIGNAL) :]
        except BlockingIOError:
            return
        except OSError:
            self._rest = memoryview(b"")
        if not self._rest:
            self.leave()
