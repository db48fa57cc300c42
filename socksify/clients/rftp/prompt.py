"""The prompt of an interactive session: lines are read with a history and with completion."""

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

# The answer to "Name:", which is asked before the first command, must not get into the history.
readline.set_auto_history(False)

_PROMPT = "rftp> "
_HISTORY_LINES = 1000


def converse(session: Session) -> None:
    """Read commands and run them until the user leaves."""
    completer = Completer(session)
    readline.set_completer(completer.complete)
    readline.set_completer_delims(" \t")
    readline.parse_and_bind("tab: complete")
    with _history(), contextlib.suppress(dispatch.Quit):
        while (line := _read()) is not None:
            _remember(line)
            dispatch.run(session, line)


def _read() -> str | None:
    """Read a line; "" for Ctrl-C, None for Ctrl-D."""
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
    readline.set_history_length(_HISTORY_LINES)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
            # The history is private, and readline would make the file readable for all.
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
            readline.write_history_file(path)


def history_file() -> str:
    """Return the path of the history, in the directory that the XDG base directory specification has for state."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(state, "socksify", "rftp_history")


class Completer:
    """Completes commands, and local or remote names, depending on the command."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._found: list[str] = []

    def complete(self, text: str, state: int) -> str | None:
        """Return the completion number `state` of `text`, or None after the last one, as readline requires."""
        if state == 0:
            # While the user is typing, no error is shown.
            try:
                self._found = self.candidates(readline.get_line_buffer()[: readline.get_begidx()], text)
            except (Failure, Lost, OSError, ValueError, ftplib.Error, EOFError):
                self._found = []
        return self._found[state] if state < len(self._found) else None

    def candidates(self, before: str, text: str) -> list[str]:
        """Return all completions of `text`; `before` is the part of the line before it."""
        if not before.strip():
            return [f"{name} " for name in sorted(dispatch.BY_NAME) if name.startswith(text)]
        command = dispatch.find(before.split()[0].lower())
        if command.name == "help":
            return [name for name in sorted(dispatch.BY_NAME) if name.startswith(text)]
        # The first name of get is remote and the second is local. For put it is the reverse.
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
