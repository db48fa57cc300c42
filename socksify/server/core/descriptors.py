"""The descriptors that the server keeps in reserve, and the pipes that it lends to relays.

Some descriptors are kept in reserve, so that an accepted client can still be served when no other descriptors are left
(EMFILE, ENFILE). Closing a descriptor of the reserve makes room for a socket at once. No client is accepted until the
reserve is full again.

Relays borrow pipes for splice(2), which moves bytes from socket to socket inside of the kernel, through a pipe between
the two. A pipe costs two descriptors, and as much of the kernel's memory as it holds: five thousand relays with one
pipe each ran out of both. So there are few pipes, and a relay gives its pipe back when the bytes are moved.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource

SHORTAGES = (errno.EMFILE, errno.ENFILE)
# The reserve is one in SHARE of the descriptors that the process may have, within these bounds.
MIN_RESERVE, MAX_RESERVE = 4, 16
SHARE = 64

# pipe(7): an unprivileged user may have 1 MiB in each pipe, and 64 MiB in all of them.
PIPE_BYTES = 1 << 20
MAX_PIPES = 64
# The size of the buffer for small pieces, in bytes.
SCRATCH = 64 * 1024

_FLAGS = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK


class Reserve:
    """Keeps up to `most` descriptors in reserve. Must be closed."""

    def __init__(self, most: int = 0) -> None:
        self._most = most
        self._kept: list[int] = []
        self.refill()

    @classmethod
    def of_process(cls) -> Reserve:
        """Return a reserve whose size suits the process's limit of open files."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == resource.RLIM_INFINITY:
            return cls(MAX_RESERVE)
        return cls(max(MIN_RESERVE, min(MAX_RESERVE, soft // SHARE)))

    def give_up(self, count: int = 1) -> bool:
        """Close up to `count` descriptors of the reserve. Return False if there was none."""
        given, self._kept[-count:] = self._kept[-count:], []
        for fd in given:
            os.close(fd)
        return bool(given)

    def make_room(self, count: int) -> None:
        """Make sure that `count` descriptors can be opened, for a function that would not report EMFILE."""
        probes: list[int] = []
        try:
            while self._most and len(probes) < count:
                probes.append(_spare())
        except OSError:
            self.give_up(count - len(probes))
        for fd in probes:
            os.close(fd)

    def refill(self) -> bool:
        """Open as many descriptors as are missing. Return False if that is not possible yet."""
        while len(self._kept) < self._most:
            try:
                self._kept.append(_spare())
            except OSError:
                return False
        return True

    def close(self) -> None:
        self.give_up(self._most or 1)


def _spare() -> int:
    return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)


class Pipe:
    """A pipe with its two descriptors. `held` is how many bytes are in it."""

    __slots__ = ("held", "reader", "writer")

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.held = 0
        try:
            fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        except OSError:
            # EPERM: the pipes of this user hold too much already. The default of 64 KiB works as well, only slower.
            pass

    def fill(self, fd: int, most: int) -> int:
        """Splice up to `most` bytes from the socket `fd` into the empty pipe, and return how many. Raises OSError."""
        self.held = os.splice(fd, self.writer, most, flags=_FLAGS)
        return self.held

    def drain(self, fd: int) -> int:
        """Splice the bytes in the pipe to the socket `fd`. Return how many bytes the socket took. Raises OSError."""
        moved = os.splice(self.reader, fd, self.held, flags=_FLAGS)
        self.held -= moved
        return moved

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.writer)


class Pipes:
    """At most MAX_PIPES pipes, each made when it is first needed. Must be closed.

    `scratch` is a buffer that all handlers share. A handler leaves nothing in it when it returns.
    """

    def __init__(self) -> None:
        self.scratch = memoryview(bytearray(SCRATCH))
        self._idle: list[Pipe] = []
        self._lent: set[Pipe] = set()

    def take(self) -> Pipe | None:
        """Lend an empty pipe. Return None if all are lent, or if there are no descriptors left."""
        if len(self._lent) >= MAX_PIPES:
            return None
        try:
            pipe = self._idle.pop() if self._idle else Pipe()
        except OSError:
            return None
        self._lent.add(pipe)
        return pipe

    def give(self, pipe: Pipe) -> None:
        """Take a pipe back. A pipe that still holds something is closed."""
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
