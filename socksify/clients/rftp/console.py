"""The console: results on stdout, messages and the progress of a transfer on stderr, questions on the terminal.

Passwords are never shown.
"""

from __future__ import annotations

import getpass
import os
import sys
import time

# The only control character that is shown as it is. Terminals obey the others.
_HARMLESS = "\t"
_REDRAW_SECONDS = 0.1
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


class Failure(Exception):
    """A command has failed. The text is the whole message for the user."""


class Screen:
    """Shows a session to the user. Only an interactive screen shows the server's replies and messages of success."""

    def __init__(self, is_interactive: bool) -> None:
        self.is_interactive = is_interactive
        # Names that are not UTF-8 must be written as the same bytes that were received.
        sys.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]

    def show(self, text: str) -> None:
        """Show one line of a command's result."""
        sys.stdout.write(f"{printable(text) if sys.stdout.isatty() else text}\n")
        # The line must come before the output of a shell's command, and before a file that is sent to stdout.
        sys.stdout.flush()

    def say(self, text: str) -> None:
        """Show lines that are for a person, not for a script."""
        if self.is_interactive:
            for line in text.splitlines():
                self.show(line)

    def complain(self, text: str) -> None:
        """Show one line about a failure."""
        sys.stderr.write(f"rftp: {printable(text)}\n")
        sys.stderr.flush()

    def ask(self, question: str) -> str:
        """Read a line from the user, without spaces around it. Raises Failure at the end of the input."""
        try:
            return input(question).strip()
        except EOFError:
            raise Failure("no answer") from None

    def ask_password(self, question: str) -> str:
        """Read a line without echo, from the terminal even if stdin is a file. Raises Failure without a terminal."""
        try:
            # Without a terminal, getpass() would read the script, and echo it.
            open("/dev/tty", "rb").close()
            return getpass.getpass(question)
        except (OSError, EOFError):
            raise Failure(
                f"{question.rstrip(': ')}: there is no terminal to ask on;"
                " ~/.netrc may hold it, or a script on stdin: user NAME PASSWORD"
            ) from None


def printable(text: str) -> str:
    """Escape characters that control a terminal: a server must not move the cursor or rename the window."""
    return "".join(c if c.isprintable() or c in _HARMLESS else c.encode("unicode_escape").decode() for c in text)


class Meter:
    """Counts the bytes of a transfer, and shows its progress in one line that is redrawn in place, on terminals only.

    `total` is the size of the whole file in bytes, None if it is unknown. `start` is the offset at which the transfer
    begins. `count` is the number of bytes that were transferred.
    """

    def __init__(self, name: str, total: int | None, start: int = 0) -> None:
        self.count = 0
        self._name, self._total, self._start = name, total, start
        self._began = self._drawn = time.monotonic()
        self._on_terminal = sys.stderr.isatty()

    def add(self, count: int) -> None:
        """Count more bytes."""
        self.count += count
        now = time.monotonic()
        if self._on_terminal and now - self._drawn >= _REDRAW_SECONDS:
            self._drawn = now
            self._draw(now)

    def end(self) -> None:
        """Draw the last line and leave it there, after a success or a failure."""
        if self._on_terminal:
            self._draw(time.monotonic())
            sys.stderr.write("\n")
            sys.stderr.flush()

    def _draw(self, now: float) -> None:
        text = progress_line(self._name, self._start + self.count, self._total, self.count, now - self._began)
        # \x1b[K erases the end of an earlier, longer line.
        sys.stderr.write(f"\r{text[: _columns() - 1]}\x1b[K")
        sys.stderr.flush()


def progress_line(name: str, done: int, total: int | None, moved: int, seconds: float) -> str:
    """Return a text such as `name  45%  1.2 MiB of 2.6 MiB  3.4 MiB/s  ETA 00:12`.

    `done` of `total` bytes have arrived. `moved` bytes of them were transferred in `seconds`.
    """
    rate = moved / seconds if seconds > 0 else 0.0
    parts = [printable(name)]
    if total:
        parts += [f"{min(100, 100 * done // total)}%", f"{amount(done)} of {amount(total)}"]
    else:
        parts.append(amount(done))
    parts.append(f"{amount(rate)}/s")
    if total and rate and done < total:
        parts.append(f"ETA {clock((total - done) / rate)}")
    return "  ".join(parts)


def amount(count: float) -> str:
    """Return a number of bytes, in a unit in which it has at most four digits."""
    for unit in _UNITS:
        if count < 1024 or unit == _UNITS[-1]:
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


def clock(seconds: float) -> str:
    """Return a duration as mm:ss, or as h:mm:ss from one hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except OSError:
        return 80
