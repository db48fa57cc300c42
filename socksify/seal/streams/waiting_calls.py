"""The calls that wait for the outcome of one connect(2): connect(2) itself, and getsockopt(2) of SO_ERROR."""

from __future__ import annotations

import struct
from errno import EFAULT
from socket import SO_SNDTIMEO, SOL_SOCKET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socksify import _originals
    from socksify.seal.kernel.listener import Listener
    from socksify.seal.kernel.target import Target
    from socksify.server.core.calls import Timer
    from socksify.server.core.loop import Loop

_TIMEVAL = struct.Struct("@ll")
_INT = struct.Struct("@i")


class WaitingCalls:
    """The calls of one or several threads that wait for the same connect(2)."""

    def __init__(self, loop: Loop, listener: Listener, target: Target, sock: _originals.Socket) -> None:
        self._loop, self._listener, self._target = loop, listener, target
        seconds, microseconds = _TIMEVAL.unpack(sock.getsockopt(SOL_SOCKET, SO_SNDTIMEO, _TIMEVAL.size))
        self._seconds = seconds + microseconds / 1_000_000
        self._connects: dict[int, Timer | None] = {}
        self._questions: list[tuple[int, int, int, int]] = []

    def join(self, id: int, late: int) -> None:
        """Let a connect(2) wait, at most for SO_SNDTIMEO (socket(7)). Then it fails with the errno `late`.

        This is EINPROGRESS for the first connect(2), and EALREADY for another one.
        """
        self._connects[id] = self._loop.after(self._seconds, lambda: self._run_out(id, late)) if self._seconds else None

    @property
    def is_waited_for(self) -> bool:
        """True if a connect(2) waits: signals may have ended all of them."""
        return any(map(self._listener.is_valid, self._connects))

    def ask(self, id: int, thread: int, value: int, length: int) -> None:
        """Let a getsockopt(2) wait, whose result belongs at the address `value`, and its size at `length`."""
        self._questions.append((id, thread, value, length))

    def end(self, error: int) -> bool:
        """Answer all calls. Return True if one of them was told the outcome: signals may have ended all of them."""
        connects, self._connects = self._connects, {}
        for timer in filter(None, connects.values()):
            timer.cancel()
        questions, self._questions = self._questions, []
        told = [self._listener.answer(id, error=error) for id in connects]
        told += [tell_error(self._listener, self._target, *question, error) for question in questions]
        return any(told)

    def _run_out(self, id: int, late: int) -> None:
        del self._connects[id]
        self._listener.answer(id, error=late)


def tell_error(listener: Listener, target: Target, id: int, thread: int, value: int, length: int, error: int) -> bool:
    """Answer getsockopt(2) of SO_ERROR. Return False if the call was over."""
    if not listener.is_valid(id):
        return False
    try:
        (room,) = _INT.unpack(target.read(thread, length, _INT.size))
        data = _INT.pack(error)[: max(room, 0)]
        target.write(thread, value, data)
        target.write(thread, length, _INT.pack(len(data)))
    except (OSError, struct.error):
        return listener.answer(id, error=EFAULT)
    return listener.answer(id)
