"""The interactive side: reading lines with a history and completion."""

from __future__ import annotations

import contextlib
import ftplib
import glob
import os
import readline
import shlex
from collections.abc import Iterator

from socksify.clients.rftp import dispatch, globbing, parsing
from socksify.clients.rftp.connection import Lost
from socksify.clients.rftp.console import Failure
from socksify.clients.rftp.session import Session

# What is typed at "Name:", which is asked before the first command, is no line of the history either.
readline.set_auto_history(False)

_PROMPT = "rftp> "
_REMEMBERED = 1000


def converse(session: Session) -> None:
    """Reads commands and runs them until the user leaves."""
    completer = Completer(session)
    readline.set_completer(completer.complete)
    readline.set_completer_delims(" \t")
    readline.parse_and_bind("tab: complete")
    with _history(), contextlib.suppress(dispatch.Quit):
        while (line := _read()) is not None:
            _remember(line)
            dispatch.run(session, line)


def _read() -> str | None:
    """A line; an empty one for Ctrl-C, None for Ctrl-D."""
    try:
        return input(_PROMPT)
    except KeyboardInterrupt:
        print()  # noqa: T201
        return ""
    except EOFError:
        print()  # noqa: T201
        return None


def _remember(line: str) -> None:
    if line.strip() and not parsing.is_secret(line):
        readline.add_history(line)


@contextlib.contextmanager
def _history() -> Iterator[None]:
    path = history_file()
    with contextlib.suppress(OSError):
        readline.read_history_file(path)
    readline.set_history_length(_REMEMBERED)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
            # It tells where the user has been; readline would make it readable to all.
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
            readline.write_history_file(path)


def history_file() -> str:
    """Where the XDG base directory specification wants what is to persist between restarts."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(state, "socksify", "rftp_history")


class Completer:
    """Completes commands, and names here or on the server, as the command takes them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._found: list[str] = []

    def complete(self, text: str, state: int) -> str | None:
        """readline's protocol: the state-th completion of text."""
        if state == 0:
            # Whatever goes wrong while the user is typing is no news.
            try:
                self._found = self.candidates(readline.get_line_buffer()[: readline.get_begidx()], text)
            except (Failure, Lost, OSError, ValueError, ftplib.Error, EOFError):
                self._found = []
        return self._found[state] if state < len(self._found) else None

    def candidates(self, before: str, text: str) -> list[str]:
        """All completions of `text`, which stands behind `before` on the line."""
        if not before.strip():
            return [f"{name} " for name in sorted(dispatch.BY_NAME) if name.startswith(text)]
        command = dispatch.find(before.split()[0].lower())
        if command.name == "help":
            return [name for name in sorted(dispatch.BY_NAME) if name.startswith(text)]
        # The second name of get is local, that of put is remote.
        first = len(before.split()) == 1 or command.most is None or command.name == "rename"
        if command.completes and (command.completes == "remote") == first:
            return self._remote(text)
        return _local(text) if command.completes else []

    def _remote(self, text: str) -> list[str]:
        directory, slash, start = text.rpartition("/")
        found = globbing.entries(self._session, _unquoted(directory) or slash)
        return [f"{directory}{slash}{shlex.quote(name)}" for name in found if name.startswith(_unquoted(start))]


def _local(text: str) -> list[str]:
    found = glob.glob(glob.escape(os.path.expanduser(_unquoted(text))) + "*")
    return [shlex.quote(name) + ("/" if os.path.isdir(name) else "") for name in sorted(found)]


def _unquoted(text: str) -> str:
    return text.replace("\\", "").strip("'\"")
