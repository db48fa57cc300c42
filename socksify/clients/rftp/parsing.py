"""The command language of rftp: how a line is split into commands and words, and what a command is."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from socksify.clients.rftp.console import Failure

# A backslash and the character after it, quoted text, or any other character that does not end a command.
_PIECE = r"""\\.|'[^']*'|"(?:\\.|[^"\\])*"|[^;\n]"""
_COMMAND = re.compile(f"(?:{_PIECE})+", re.DOTALL)
_QUOTING = re.compile(r"""[\\'"]""")
# These commands take the rest of the line as it is, for a shell or for a server.
_RAW = ("!", "quote", "site")


@dataclass(frozen=True)
class Command:
    """A command of rftp.

    `run(session, *words)` runs the command with `least` to `most` words, or with any number of words if `most` is None.
    In the help, `words` describes the words and `help` the command. `completes` is the kind of names that the words
    are: "local", "remote", or "" for none.
    """

    name: str
    run: Callable[..., None]
    words: str
    help: str
    least: int = 0
    most: int | None = 0
    completes: str = ""

    def check(self, count: int) -> None:
        """Raise Failure if the command does not take `count` words."""
        if count < self.least or (self.most is not None and count > self.most):
            raise Failure(f"usage: {self.usage}")

    @property
    def usage(self) -> str:
        return f"{self.name} {self.words}".strip()


def commands(text: str) -> list[str]:
    """Split the text of -c into commands, at newlines and at semicolons outside quotes."""
    return _COMMAND.findall(text)


def split(line: str) -> tuple[str, list[str]]:
    """Return the name of the command and its words. An empty line and a comment have an empty name.

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
    """Return True if a line contains a password. Such a line is not kept in the history."""
    command, *words = _QUOTING.sub("", line).lower().split() or [""]
    if "open".startswith(command) and ":" in " ".join(words).rpartition("@")[0]:
        return True
    if len(words) < 2:
        return False
    # A command may be abbreviated.
    return "user".startswith(command) or ("quote".startswith(command) and words[0] in ("pass", "acct"))


def name(line: str) -> str:
    """Return the command's name as it was typed, for a message. The rest of the line may contain a password."""
    return line.split(maxsplit=1)[0] if line.strip() else ""


def quoted(word: str) -> str:
    """Return the word, quoted where a line needs quotes."""
    return shlex.quote(word)
