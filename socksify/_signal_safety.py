"""Signal handlers, threads and forks: the states that they may find, and a lock on which none of them can hang.

A signal handler is a call that the interpreter inserts between two bytecodes of the main thread, also of our code. It
may raise an exception, and then the code beneath it never continues. It may also return, after it has closed the
socket, called connect() again, or forked. A garbage collection, a trace function and another thread may run at the same
moments. These are the rules.

State. A tunnel is settled, or it is pending and its `handshake` is set. Another observer sees one of four states at
any bytecode:

  begun       the tunnel is registered and guarded, and no byte has been written for it
  pending     the handshake is under way; the guards keep all other bytes off the socket
  concluded   `Handshake.conclude` has recorded the outcome, by a single dict.setdefault(): the first outcome wins
  settled     the consequences of the outcome are done; the last of them is that `tunnel.handshake` became None

Guards are put on before the first byte is written, even if there is only one thread, because a handler runs in that
thread. Everything between `concluded` and `settled` may be done twice (`settlement.settle`). Therefore any code that
finds a tunnel concluded and not settled does it again, and does not wait for the code that began it.

Exceptions. An exception in connect() concludes the tunnel as failed. The connection to the proxy is shut down, and the
next connect() begins on a new socket. The `except` clause that does so may be interrupted, too. Therefore
`Handshake.connect_frame` is the frame of the connect() that is responsible for the tunnel. If that frame has ended
while the tunnel is pending, an exception has ended it, and the next code that finds the tunnel concludes it. An
exception in another call that continues a pending tunnel (a poll, for example) may have lost a part of the proxy's
answer, so it concludes the tunnel as well. An exception of a handler is never taken for an error of the socket,
although it may be an OSError: `ours`, in an `except` clause, tells them apart by the frame that raised them.

Locks. A lock of `_thread` is taken one bytecode before its `try`, and released one bytecode after it: an exception
between them leaves it locked. It does not know its owner either, so a handler would wait for the code that it has
interrupted. An OwnedLock is a list of the frames that are inside. A frame that is not being executed is not inside. It
needs no release, however it has ended. A call that finds its own thread inside does not wait: it is refused, or let in
if every interleaving is harmless. A call that finds another thread inside waits for a limited time, or not at all.

Forks. A child process has one thread, and copies of the frames of all threads. `after_fork` makes the frames of the
other threads count as ended, in every OwnedLock at once. If a handler forks, the code beneath it continues in both
processes. Therefore every pending tunnel of the child is concluded as failed, and its descriptor is put on a new
socket: bytes that the code beneath still writes there reach no host.

Descriptors. Between two bytecodes a handler may close a socket and open another one with the same number. Therefore
calls of the kernel use the socket object. If a call needs the number, `at` asks the object for it in the same bytecode.
"""

from __future__ import annotations

import sys
from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import TypeVar

    Error = TypeVar("Error", bound=BaseException)

# For each fork between the first process and this one: the thread that continued in the child.
_survivors: list[int] = []

# An exception that a module of these packages raised is not a handler's exception. The IDNA codec is written in Python.
_OURS = ("socksify.", "encodings.")

# Milliseconds between two attempts to take a lock that another thread holds.
_PAUSE = 1


class OwnedLock:
    """A lock that knows the frame that is inside. It notices re-entrance, and frames that an exception has ended.

    The same function calls acquire() and release(), and the lock knows it by its frame; or both get the same other
    frame. `was_broken` is True if an exception has ever ended a frame without release(). As a context manager the lock
    waits `patience` seconds for another thread. It lets in a thread that is inside already, or has waited that long.
    """

    __slots__ = ("_inside", "_patience", "was_broken")

    def __init__(self, patience: float = 5.0) -> None:
        self._inside: list[tuple[FrameType, int, int]] = []
        self._patience = patience
        self.was_broken = False

    def acquire(self, seconds: float = 0.0, frame: FrameType | None = None) -> bool:
        """Take the lock. Wait at most `seconds` for another thread, and not at all if this thread holds the lock.

        Return False if the lock is held. `frame` is the frame that holds it, that of the caller if None.
        """
        return self._enter(frame or sys._getframe(1), seconds)

    def release(self, frame: FrameType | None = None) -> None:
        """Release the lock. Nothing happens if the frame is not inside."""
        self._leave(frame or sys._getframe(1))

    def __enter__(self) -> None:
        self._enter(sys._getframe(1), self._patience)

    def __exit__(self, *_: object) -> None:
        self._leave(sys._getframe(1))

    def is_mine(self) -> bool:
        """Return True if a function of this thread is inside, such as the one beneath a signal handler."""
        own = get_ident()
        return any(entry[1] == own and _is_inside(entry) for entry in list(self._inside))

    def is_held(self) -> bool:
        """Return True if a function of any thread is inside."""
        return any(_is_inside(entry) for entry in list(self._inside))

    def is_empty(self) -> bool:
        """Return True if every frame that came in has left, also those in threads of the parent process."""
        return not self._inside

    def _enter(self, frame: FrameType, seconds: float) -> bool:
        if self._try(frame):
            return True
        if not seconds:
            return False
        # Not imported above: if this Python lacks a function that _originals takes, the caller has to report it.
        from socksify import _originals

        until = _originals.monotonic() + seconds
        while not self.is_mine() and _originals.monotonic() < until:
            _originals.poll().poll(_PAUSE)
            if self._try(frame):
                return True
        return False

    def _leave(self, frame: FrameType) -> None:
        inside = self._inside
        # No other code removes a frame that is running.
        if inside and inside[0][0] is frame:
            inside.pop(0)

    def _try(self, frame: FrameType) -> bool:
        inside = self._inside
        entry = (frame, get_ident(), len(_survivors))
        # The lock belongs to the first entry. list.append() is atomic.
        inside.append(entry)
        while (first := inside[0]) is not entry:
            if _is_inside(first):
                _discard(inside, entry)
                return False
            # A frame that has released the lock, and has ended since, has taken its entry out before.
            if first in inside:
                self.was_broken = True
                _discard(inside, first)
        return True


def _is_inside(entry: tuple[FrameType, int, int]) -> bool:
    frame, thread, forks = entry
    return all(thread == survivor for survivor in _survivors[forks:]) and is_running(frame)


def _discard(inside: list[tuple[FrameType, int, int]], entry: tuple[FrameType, int, int]) -> None:
    try:
        inside.remove(entry)
    except ours(ValueError):  # another thread has removed it
        pass


def is_running(frame: FrameType) -> bool:
    """Return True if a frame is being executed, by any thread. A frame that has ended loses its variables."""
    try:
        frame.clear()
    except ours(RuntimeError):  # "cannot clear an executing frame"
        return True
    return False


def is_foreign(error: BaseException) -> bool:
    """Return True if an exception was raised by code that is not ours, such as a signal handler."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and not str(traceback.tb_frame.f_globals.get("__name__")).startswith(_OURS)


def ours(*kinds: type[Error]) -> tuple[type[Error], ...]:
    """Return these exception types for an `except` clause; none if a signal handler has raised the exception."""
    error = sys.exc_info()[1]
    return () if error is not None and is_foreign(error) else kinds


def forks() -> int:
    """Return the number of forks from the first process to this one. It changes only in a child process."""
    return len(_survivors)


def after_fork() -> None:
    """Make the frames of the parent's other threads count as ended, in the child process."""
    _survivors.append(get_ident())
