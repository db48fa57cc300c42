"""Runs a program in a pseudo-terminal: a test reads the program's output and types input."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.support.processes import end

SECONDS = 30.0
_LEFT = re.compile(rb"\x1b\[\??[0-9;]*[A-Za-z]")


class Terminal:
    """The user's side of a pseudo-terminal in which a program runs."""

    def __init__(self, fd: int, process: subprocess.Popen[bytes]) -> None:
        self.shown = b""
        self._fd, self._process = fd, process
        self._read_to = 0

    @property
    def text(self) -> str:
        """The output so far, without control sequences for the cursor."""
        return _LEFT.sub(b"", self.shown).decode(errors="replace").replace("\r", "")

    def see(self, text: str) -> str:
        """Wait until new output has `text` in it. Return the new output up to the end of the text."""
        wanted = text.encode()
        while (at := self.shown.find(wanted, self._read_to)) < 0:
            if not self._read():
                raise AssertionError(f"{text!r} did not come after {self.shown[self._read_to :]!r}")
        begin, self._read_to = self._read_to, at + len(wanted)
        return self.shown[begin : self._read_to].decode(errors="replace")

    def type(self, text: str) -> None:
        """Type. The return key is \\r."""
        os.write(self._fd, text.encode())

    def sleeps(self) -> None:
        """Wait until the program reads. CPython's readline misses a Ctrl-C that comes before its select(2)."""
        status = Path(f"/proc/{self._process.pid}/stat")
        soon(lambda: status.read_text().rpartition(")")[2].split()[0] == "S", "the program goes on and on")

    def resize(self, rows: int, columns: int) -> None:
        """Set the size of the window. The program gets a signal."""
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def hang_up(self) -> None:
        """Close the terminal. The program gets SIGHUP."""
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, self._fd)
        os.close(null)

    @property
    def echoes(self) -> bool:
        """Whether the terminal echoes what is typed."""
        return bool(termios.tcgetattr(self._fd)[3] & termios.ECHO)

    @property
    def modes(self) -> list[object]:
        """The result of tcgetattr()."""
        return list(termios.tcgetattr(self._fd))

    def end(self) -> int:
        """Wait until the program has ended, and return its exit status."""
        while self._read():
            pass
        return self._process.wait(SECONDS)

    def _read(self) -> bool:
        """Read once. Return whether there was more output."""
        readable, _, _ = select.select([self._fd], [], [], SECONDS)
        if not readable:
            raise AssertionError(f"nothing more was shown after {self.shown[self._read_to :]!r}")
        # Linux returns EIO when no process has the other end open.
        with contextlib.suppress(OSError):
            if piece := os.read(self._fd, 65536):
                self.shown += piece
                return True
        return False


@contextlib.contextmanager
def terminal(argv: list[str], environment: Mapping[str, str], directory: Path) -> Iterator[Terminal]:
    """Run a program in a terminal of 24 rows and 80 columns for the length of the block."""
    user, program = os.openpty()
    fcntl.ioctl(user, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        argv,
        stdin=program,
        stdout=program,
        stderr=program,
        env={**environment, "TERM": "xterm"},
        cwd=directory,
        start_new_session=True,
        preexec_fn=_take_terminal,
    )
    os.close(program)
    try:
        yield Terminal(user, process)
    finally:
        end(process)
        os.close(user)


def _take_terminal() -> None:
    # The terminal is then /dev/tty, and its keys send signals.
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # In the background of a shell, SIGINT is ignored.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def soon(look: Callable[[], object], what: Callable[[], str] | str) -> None:
    """Wait until a call returns a true value, such as the content of a file that another program writes."""
    deadline = time.monotonic() + SECONDS
    while not look():
        assert time.monotonic() < deadline, what if isinstance(what, str) else what()
        # There is no event for what another program does.
        time.sleep(0.01)
