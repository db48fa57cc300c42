"""A program in a terminal of its own: what it shows is read, and what a user would type is written."""

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
        """All that was shown, without what moves the cursor."""
        return _LEFT.sub(b"", self.shown).decode(errors="replace").replace("\r", "")

    def see(self, text: str) -> str:
        """Waits until a text is shown that was not seen before; what was shown up to its end."""
        wanted = text.encode()
        while (at := self.shown.find(wanted, self._read_to)) < 0:
            if not self._read():
                raise AssertionError(f"{text!r} did not come after {self.shown[self._read_to :]!r}")
        begin, self._read_to = self._read_to, at + len(wanted)
        return self.shown[begin : self._read_to].decode(errors="replace")

    def type(self, text: str) -> None:
        """Types; a return key is \\r."""
        os.write(self._fd, text.encode())

    def sleeps(self) -> None:
        """Waits until the program does. CPython's readline passes over a Ctrl-C that comes before its select(2)."""
        status = Path(f"/proc/{self._process.pid}/stat")
        soon(lambda: status.read_text().rpartition(")")[2].split()[0] == "S", "the program goes on and on")

    def resize(self, rows: int, columns: int) -> None:
        """Gives the window a size, which its program is told of."""
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    @property
    def echoes(self) -> bool:
        """Whether the terminal itself shows what is typed."""
        return bool(termios.tcgetattr(self._fd)[3] & termios.ECHO)

    @property
    def modes(self) -> list[object]:
        """What tcgetattr() tells."""
        return list(termios.tcgetattr(self._fd))

    def end(self) -> int:
        """Waits until the program has ended; its exit status."""
        while self._read():
            pass
        return self._process.wait(SECONDS)

    def _read(self) -> bool:
        """Whether something more was shown."""
        readable, _, _ = select.select([self._fd], [], [], SECONDS)
        if not readable:
            raise AssertionError(f"nothing more was shown after {self.shown[self._read_to :]!r}")
        # Linux: EIO when nobody has the other end open any more.
        with contextlib.suppress(OSError):
            if piece := os.read(self._fd, 65536):
                self.shown += piece
                return True
        return False


@contextlib.contextmanager
def terminal(argv: list[str], environment: Mapping[str, str], directory: Path) -> Iterator[Terminal]:
    """Runs a program in a terminal of 24 rows and 80 columns, for the length of the block."""
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
    # /dev/tty is it then, and its keys make signals.
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # A test run in the background of a shell inherits SIGINT ignored.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def soon(look: Callable[[], object], what: Callable[[], str] | str) -> None:
    """Waits until a call gives something true, such as a file that another program is about to write."""
    deadline = time.monotonic() + SECONDS
    while not look():
        assert time.monotonic() < deadline, what if isinstance(what, str) else what()
        # Nothing tells when another program has done what it is to do.
        time.sleep(0.01)
