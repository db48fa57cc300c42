"""Signal handlers, threads and forks: what they may see of us, and the lock that none of them can hang on.

A signal handler is a call that the interpreter puts between two bytecodes of the main thread, ours among them. It may
raise, so that the code beneath never goes on. It may return, after it has closed the socket, called connect() again
or forked. A garbage collection, a trace function and another thread come at the same moments. The rules are these.

State. A tunnel is settled, or it is pending and its `handshake` is set. Another observer sees one of four states at
any bytecode:

  begun       the tunnel is registered and guarded, and not a byte of it has been written
  pending     the handshake is being talked; the guards keep every other byte off the socket
  concluded   `Handshake.conclude` has recorded the outcome: a single dict.setdefault(), so the first outcome wins
  settled     what follows from the outcome is done, and as the last of it `tunnel.handshake` became None

Guards are put on before the first byte is written, also where there is only one thread, because a handler is code in
that thread. Everything between `concluded` and `settled` may be done twice (`dial.settle`). So whoever meets a tunnel
that is concluded and not settled does it again, and nobody has to wait for the one who began it.

Exceptions. One that arrives in connect() concludes the tunnel as failed; what is on the way to the proxy is shut down,
and the next connect() begins on a fresh socket. The `except` clause that does so may be interrupted too. Therefore
`Handshake.caller` is the frame of the connect() that answers for the tunnel. A frame that has ended while the tunnel
is pending proves that an exception came between, and whoever meets that tunnel next concludes it. One that arrives
while another call goes on with a pending tunnel (a poll, say) has perhaps lost a piece of the proxy's answer, so it
concludes the tunnel as well. An exception that a handler raised is never taken for one of the socket's own, though it
may be an OSError: `ours`, in an `except` clause, tells them apart by the frame that raised them.

Locks. A lock of C's is taken one bytecode before its `try`, and released one bytecode after it: an exception there
leaves it locked. It does not know its owner either, so a handler would wait for the code that it has interrupted. An
OwnedLock is a list of the frames that are inside. A frame that is not being executed is not inside, however it came
to its end, and needs no release. A call that finds its own thread inside does not wait: it is refused, or, where
every interleaving is harmless, let in. A call that finds another thread inside waits for a bounded time or not at all.

Forks. A child has one thread, and copies of the frames of all. `after_fork` makes those of other threads count for
nothing, in every OwnedLock at once. What a handler's fork finds beneath itself goes on in the parent and in the child.
So in the child every pending tunnel is concluded as failed, and its descriptor is put on a fresh socket: whatever the
code beneath still writes there reaches nobody.

Descriptors. Between two bytecodes a handler may close a socket and open another one under the same number. So what
the kernel is told about a socket is told by the socket object, and where only a number will do, `at` asks the object
for it in the same bytecode.
"""

from __future__ import annotations

import sys
from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import TypeVar

    Error = TypeVar("Error", bound=BaseException)

# Of each fork by which this process came about, the thread that went on in the child.
_survivors: list[int] = []

# The modules of which the innermost frame is one where an exception is not a handler's. IDNA is written in Python.
_OURS = ("socksify.", "encodings.")

# Milliseconds between two looks at a lock that another thread holds.
_PAUSE = 1


class OwnedLock:
    """At most one frame is inside; re-entrance and frames that an exception has ended are told apart from others.

    acquire() and release() are called by the same function, whose frame is what the lock knows; or both are given
    another one. `was_broken` tells whether an exception has ever left it without release(). As a context manager it
    waits for another thread for `patience` seconds, and lets in whoever is inside already, or has waited that long.
    """

    __slots__ = ("_inside", "_patience", "was_broken")

    def __init__(self, patience: float = 5.0) -> None:
        self._inside: list[tuple[FrameType, int, int]] = []
        self._patience = patience
        self.was_broken = False

    def acquire(self, seconds: float = 0.0, frame: FrameType | None = None) -> bool:
        """Take the lock, at the longest after `seconds`; False where it is held, at once where this thread holds it."""
        return self._enter(frame or sys._getframe(1), seconds)

    def release(self, frame: FrameType | None = None) -> None:
        """Leave; does nothing where the calling function is not inside."""
        self._leave(frame or sys._getframe(1))

    def __enter__(self) -> None:
        self._enter(sys._getframe(1), self._patience)

    def __exit__(self, *_: object) -> None:
        self._leave(sys._getframe(1))

    def is_mine(self) -> bool:
        """Whether a function of this thread is inside: the one beneath a signal handler, say."""
        own = get_ident()
        return any(entry[1] == own and _is_inside(entry) for entry in list(self._inside))

    def is_held(self) -> bool:
        """Whether a function of any thread is inside."""
        return any(_is_inside(entry) for entry in list(self._inside))

    def is_empty(self) -> bool:
        """Whether nobody has come in and not left, not even a thread of the parent of this process."""
        return not self._inside

    def _enter(self, frame: FrameType, seconds: float) -> bool:
        if self._try(frame):
            return True
        if not seconds:
            return False
        # Not above: a Python that lacks what _originals takes has to be told so by who imports this for its locks.
        from socksify import _originals

        until = _originals.monotonic() + seconds
        while not self.is_mine() and _originals.monotonic() < until:
            _originals.poll().poll(_PAUSE)
            if self._try(frame):
                return True
        return False

    def _leave(self, frame: FrameType) -> None:
        inside = self._inside
        # A frame that runs is removed by itself alone.
        if inside and inside[0][0] is frame:
            inside.pop(0)

    def _try(self, frame: FrameType) -> bool:
        inside = self._inside
        entry = (frame, get_ident(), len(_survivors))
        # Who stands first is inside; list.append() is atomic.
        inside.append(entry)
        while (first := inside[0]) is not entry:
            if _is_inside(first):
                _discard(inside, entry)
                return False
            self.was_broken = True
            _discard(inside, first)
        return True


def _is_inside(entry: tuple[FrameType, int, int]) -> bool:
    frame, thread, forks = entry
    return all(thread == survivor for survivor in _survivors[forks:]) and is_running(frame)


def _discard(inside: list[tuple[FrameType, int, int]], entry: tuple[FrameType, int, int]) -> None:
    try:
        inside.remove(entry)
    except ours(ValueError):  # another thread has done it
        pass


def is_running(frame: FrameType) -> bool:
    """Whether a function's frame is being executed, by whichever thread; one that has ended loses its variables."""
    try:
        frame.clear()
    except ours(RuntimeError):  # "cannot clear an executing frame"
        return True
    return False


def is_foreign(error: BaseException) -> bool:
    """Whether an exception was raised by a function that is not ours, such as a signal handler."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and not str(traceback.tb_frame.f_globals.get("__name__")).startswith(_OURS)


def ours(*kinds: type[Error]) -> tuple[type[Error], ...]:
    """For an `except` clause: these kinds of exceptions, unless it is a signal handler that has raised one of them."""
    error = sys.exc_info()[1]
    return () if error is not None and is_foreign(error) else kinds


def forks() -> int:
    """By how many forks this process has come about: a call that sees the number change is in the child now."""
    return len(_survivors)


def after_fork() -> None:
    """In the child: who was inside of a lock, and is not the thread that has forked, is not here."""
    _survivors.append(get_ident())
