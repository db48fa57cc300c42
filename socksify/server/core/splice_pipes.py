"""Pipes for splice(2), which moves bytes from socket to socket inside the kernel, through a pipe between the two.

A pipe costs two descriptors, and as much of the kernel's memory as it holds: five thousand relays that had one each
ran out of both. So there are a few, lent to who has something to move, and to be given back when it is moved.
"""

from __future__ import annotations

import fcntl
import os

# pipe(7): an unprivileged process may have 1 MiB of each, 64 MiB of all.
SIZE = 1 << 20
MOST = 64
# Of the buffer for small talk.
SCRATCH = 64 * 1024

_FLAGS = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK


class Pipe:
    """Both ends' descriptors, and how many bytes are in it."""

    __slots__ = ("held", "reader", "writer")

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.held = 0
        try:
            fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, SIZE)
        except OSError:
            # EPERM: this user's pipes hold too much already. 64 KiB do, too, only slower.
            pass

    def fill(self, fd: int, most: int) -> int:
        """Splice up to `most` bytes from the socket `fd` into the empty pipe, and return how many. Raises OSError."""
        self.held = os.splice(fd, self.writer, most, flags=_FLAGS)
        return self.held

    def drain(self, fd: int) -> int:
        """Splice what is in the pipe to the socket `fd`, and return how much it took. Raises OSError."""
        moved = os.splice(self.reader, fd, self.held, flags=_FLAGS)
        self.held -= moved
        return moved

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.writer)


class Pipes:
    """At most MOST pipes, made when they are first needed; `scratch` is for who leaves nothing in it."""

    def __init__(self) -> None:
        self.scratch = memoryview(bytearray(SCRATCH))
        self._idle: list[Pipe] = []
        self._lent: set[Pipe] = set()

    def take(self) -> Pipe | None:
        """An empty pipe; None when all are lent, or there are no descriptors left."""
        if len(self._lent) >= MOST:
            return None
        try:
            pipe = self._idle.pop() if self._idle else Pipe()
        except OSError:
            return None
        self._lent.add(pipe)
        return pipe

    def give(self, pipe: Pipe) -> None:
        """Takes a pipe back, which is closed if there is still something in it."""
        self._lent.discard(pipe)
        if pipe.held:
            pipe.close()
        else:
            self._idle.append(pipe)

    def close(self) -> None:
        for pipe in (*self._idle, *self._lent):
            pipe.close()
        self._idle.clear()
        self._lent.clear()
