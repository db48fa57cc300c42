"""What the user sees and is asked: results on stdout, everything else on stderr, passwords nowhere."""

from __future__ import annotations

import getpass
import sys

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
