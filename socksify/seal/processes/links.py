"""The pipes between the launcher, the supervisor and the program of a seal.

A pipe with O_DIRECT keeps the limits of each write(2): one read(2) returns one packet (pipe(2), "packet mode"). The
`socket` module is not needed, whose import takes ten milliseconds and may start a hook.
"""

from __future__ import annotations

import fcntl
import os
from errno import EPIPE

from socksify.seal.kernel import libc

# In bytes: longer packets would be split (PIPE_BUF).
_LONGEST = 4096
# The numbers below belong to the program's standard streams, also if they are closed now.
_FIRST = 3
_CLOSED = -1

# The kinds of packets. The data of a report or an answer follows in decimal digits, or as a text.
# From the supervisor to the program: install the filter. The data is "1" if the UDP sockets are pooled, else "0".
INSTALL = b"I"
# From the program to the supervisor: the number of the listener's descriptor.
LISTENER = b"L"
# From the supervisor to the launcher: the process of the program, which waits; it has stopped, by a signal; it has
# ended, with a status of waitpid(2).
STARTED, STOPPED, ENDED = b"P", b"S", b"E"
# From the launcher to the program: begin.
BEGIN = b"B"
# From the program or the supervisor: the seal cannot be had. The data is the reason.
UNAVAILABLE = b"U"
# The sender has ended.
END = b""

# The supervisor reads these bytes in the memory of the program's process.
PROBE = b"a seal's probe"


class Pipe:
    """One direction of a conversation. A packet has a kind, which is one byte, and data."""

    def __init__(self) -> None:
        self._reader, self._writer = map(_moved, libc.call(os.pipe2, os.O_DIRECT | os.O_CLOEXEC))

    def fileno(self) -> int:
        """Return the descriptor of the reading end."""
        return self._reader

    def send(self, kind: bytes, data: bytes = b"") -> None:
        """Send a packet. Nothing happens if the receiver has ended."""
        try:
            os.write(self._writer, (kind + data)[:_LONGEST])
        except OSError as error:
            if error.errno != EPIPE:
                raise

    def receive(self) -> tuple[bytes, bytes]:
        """Wait for the next packet, and return its kind and its data. The kind is END if there will be no more."""
        packet = os.read(self._reader, _LONGEST)
        return packet[:1], packet[1:]

    def close_reader(self) -> None:
        """Close the reading end."""
        if self._reader != _CLOSED:
            os.close(self._reader)
            self._reader = _CLOSED

    def close_writer(self) -> None:
        """Close the writing end."""
        if self._writer != _CLOSED:
            os.close(self._writer)
            self._writer = _CLOSED

    def close(self) -> None:
        """Close both ends."""
        self.close_reader()
        self.close_writer()


class Links:
    """Three pipes. Each process keeps the ends that it needs, and sees the end of the processes at the others.

    `reports` lead from the supervisor to the launcher, `orders` from both of them to the program, `answers` from the
    program to the supervisor.
    """

    def __init__(self) -> None:
        self.reports, self.orders, self.answers = Pipe(), Pipe(), Pipe()

    def of_launcher(self) -> None:
        """Close what the launcher does not need."""
        self.reports.close_writer()
        self.orders.close_reader()
        self.answers.close()

    def of_supervisor(self) -> None:
        """Close what the supervisor does not need."""
        self.reports.close_reader()
        self.orders.close_reader()
        self.answers.close_writer()

    def of_program(self) -> None:
        """Close what the program does not need."""
        self.reports.close()
        self.orders.close_writer()
        self.answers.close_reader()

    def close(self) -> None:
        """Close the rest."""
        for pipe in (self.reports, self.orders, self.answers):
            pipe.close()


def _moved(fd: int) -> int:
    """Return a duplicate of a descriptor, and close it, if its number is that of a standard stream."""
    if fd >= _FIRST:
        return fd
    above = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST)
    os.close(fd)
    return above
