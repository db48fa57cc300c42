"""The language of rftp: commands apart, a command's words apart, and what must not be remembered of a line."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from socksify.clients.rftp.console import Failure

# A backslash and what it protects, quoted text, or anything else that does not end a command.
_PIECE = r"""\\.|'[^']*'|"(?:\\.|[^"\\])*"|[^;\n]"""
_COMMAND = re.compile(f"(?:{_PIECE})+", re.DOTALL)
_QUOTING = re.compile(r"""[\\'"]""")
# These take the rest of the line as it is, for a shell or for a server.
_RAW = ("!", "quote", "site")


def commands(text: str) -> list[str]:
    """The commands of -c: apart by newlines and by semicolons outside quotes."""
    return _COMMAND.findall(text)


def split(line: str) -> tuple[str, list[str]]:
    """The command's name and its words; the name is empty for an empty line and for a comment.

    Words are quoted as in a shell. Raises Failure for a quote that is not closed.
    """
    line = line.strip()
    if not line or line.startswith("#"):
        return "", []
    if line.startswith("!"):
        return "!", [line[1:].strip()]
    name, _, rest = line.partition(" ")
    if name.lower() in _RAW:
        return name.lower(), [rest.strip()] if rest.strip() else []
    try:
        name, *words = shlex.split(line)
    except ValueError as error:
        raise Failure(f"{name}: {str(error).lower()}") from None
    return name.lower(), words


def is_secret(line: str) -> bool:
    """Whether a line holds a password, and has no place in a history."""
    command, *words = _QUOTING.sub("", line).lower().split() or [""]
    if "open".startswith(command) and ":" in " ".join(words).rpartition("@")[0]:
        return True
    if len(words) < 2:
        return False
    # A command may be abbreviated.
    return "user".startswith(command) or ("quote".startswith(command) and words[0] in ("pass", "acct"))


def name(line: str) -> str:
    """The command's name as it was typed, for a message: the rest may hold a password."""
    return line.split(maxsplit=1)[0] if line.strip() else ""


def quoted(word: str) -> str:
    """A word as it has to be written in a line."""
    return shlex.quote(word)


# What a command is, to the one who runs it, to help and to completion.


@dataclass(frozen=True)
class Command:
    """A command: `run(session, *words)` takes from `least` to `most` words, any number if that is None.

    `words` is how help writes them; `completes` is "local", "remote" or "", the kind of names that they are.
    """

    name: str
    run: Callable[..., None]
    words: str
    help: str
    least: int = 0
    most: int | None = 0
    completes: str = ""

    def check(self, count: int) -> None:
        """Raises Failure for a number of words that the command does not take."""
        if count < self.least or (self.most is not None and count > self.most):
            raise Failure(f"usage: {self.usage}")

    @property
    def usage(self) -> str:
        return f"{self.name} {self.words}".strip()
