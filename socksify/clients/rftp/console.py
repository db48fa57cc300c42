"""What the user sees and is asked: results on stdout, everything else on stderr, passwords nowhere."""

from __future__ import annotations

import getpass
import os
import sys
import time

# Of C1 and others that terminals obey: what is no character to print is shown by its number.
_KEPT = "\t"


class Failure(Exception):
    """A command could not do what it was asked; its text is the whole message to the user."""


class Screen:
    """Where a session's words go. An interactive one shows the server's replies, a script's is silent about success."""

    def __init__(self, is_interactive: bool) -> None:
        self.is_interactive = is_interactive
        # Names that are no UTF-8 leave as the bytes that they came as.
        sys.stdout.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]

    def show(self, text: str) -> None:
        """One line of what a command was asked for."""
        sys.stdout.write(f"{printable(text) if sys.stdout.isatty() else text}\n")
        # It comes before what a shell's command or a file on stdout brings.
        sys.stdout.flush()

    def say(self, text: str) -> None:
        """What a person wants to know and a script does not."""
        if self.is_interactive:
            for line in text.splitlines():
                self.show(line)

    def complain(self, text: str) -> None:
        """One line about what went wrong."""
        sys.stderr.write(f"rftp: {printable(text)}\n")
        sys.stderr.flush()

    def ask(self, question: str) -> str:
        """A line from the user, without spaces around it; Failure when there is none to come."""
        try:
            return input(question).strip()
        except EOFError:
            raise Failure("no answer") from None

    def ask_password(self, question: str) -> str:
        """A line that is not echoed, from the terminal whatever stdin is; Failure without a terminal."""
        try:
            # getpass() without a terminal would read, and echo, the script.
            open("/dev/tty", "rb").close()
            return getpass.getpass(question)
        except (OSError, EOFError):
            raise Failure(
                f"{question.rstrip(': ')}: there is no terminal to ask on;"
                " ~/.netrc may hold it, or a script on stdin: user NAME PASSWORD"
            ) from None


def printable(text: str) -> str:
    """The text without what a terminal would obey: a server must not move the cursor or rename the window."""
    return "".join(c if c.isprintable() or c in _KEPT else c.encode("unicode_escape").decode() for c in text)


# One line that tells how far a transfer is, redrawn in place; on a terminal alone.


_SECONDS_BETWEEN = 0.1
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


class Meter:
    """Counts the bytes of one transfer. `total` is the whole file's size, `start` how much of it was there before."""

    def __init__(self, name: str, total: int | None, start: int = 0) -> None:
        self.count = 0
        self._name, self._total, self._start = name, total, start
        self._began = self._drawn = time.monotonic()
        self._on_terminal = sys.stderr.isatty()

    def add(self, count: int) -> None:
        """So many bytes more have gone."""
        self.count += count
        now = time.monotonic()
        if self._on_terminal and now - self._drawn >= _SECONDS_BETWEEN:
            self._drawn = now
            self._draw(now)

    def end(self) -> None:
        """Leaves the last line standing, whether the transfer is whole or not."""
        if self._on_terminal:
            self._draw(time.monotonic())
            sys.stderr.write("\n")
            sys.stderr.flush()

    def _draw(self, now: float) -> None:
        text = line(self._name, self._start + self.count, self._total, self.count, now - self._began)
        # \x1b[K: what an earlier, longer line left behind it.
        sys.stderr.write(f"\r{text[: _columns() - 1]}\x1b[K")
        sys.stderr.flush()


def line(name: str, done: int, total: int | None, moved: int, seconds: float) -> str:
    """`name  45%  1.2 MiB of 2.6 MiB  3.4 MiB/s  ETA 00:12`; `moved` is what went in `seconds`."""
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
    """A number of bytes in the unit that gives it at most four digits."""
    for unit in _UNITS:
        if count < 1024 or unit == _UNITS[-1]:
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


def clock(seconds: float) -> str:
    """mm:ss, with hours when there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except OSError:
        return 80
