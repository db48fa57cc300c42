"""Signals that a process receives as data, with their senders (signalfd(2))."""

from __future__ import annotations

import os
import signal
import struct

from socksify._record import Record
from socksify.seal.kernel import libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# struct signalfd_siginfo: number, errno, code, process of the sender, and what is not needed here. It has 128 bytes.
_SIGINFO = struct.Struct("=IiiI112x")
_MOST = 64
# siginfo_t: the kernel has sent the signal, for example because of a key of the terminal.
_SI_KERNEL = 0x80
# The kernel sends these to the whole foreground process group, or to the group in the background (termios(3)).
_OF_TERMINAL = (
    signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCONT,
    signal.SIGWINCH,
)  # fmt: skip
# credentials(7): when the terminal hangs up, these two go to the leader of the session alone.
_TO_LEADER = (signal.SIGHUP, signal.SIGCONT)


class Signal(Record):
    """A signal: its number, and the process that has sent it; 0 if the kernel did, or a process that is not visible."""

    number: int
    is_kernels: bool
    sender: int

    def has_reached_group(self) -> bool:
        """Return True if the kernel has sent the signal to all processes of this process's group as well."""
        if not self.is_kernels or self.number not in _OF_TERMINAL:
            return False
        return self.number not in _TO_LEADER or os.getsid(0) != os.getpid()


class SignalReader:
    """Reads signals. All of them have to be blocked."""

    def __init__(self) -> None:
        self._fd = libc.signalfd(signal.valid_signals())

    def fileno(self) -> int:
        """Return the descriptor, which is readable if a signal is pending."""
        return self._fd

    def read(self) -> Iterator[Signal]:
        """Yield the signals that are pending."""
        try:
            data = os.read(self._fd, _MOST * _SIGINFO.size)
        except BlockingIOError:
            return
        for number, _, code, sender in _SIGINFO.iter_unpack(data):
            yield Signal(number, code == _SI_KERNEL, sender)

    def close(self) -> None:
        """Close the descriptor. The signals stay pending."""
        os.close(self._fd)
