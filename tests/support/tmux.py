"""Runs a program in a real terminal emulator: tmux keeps the screen, and a test reads it."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.support.processes import require
from tests.support.terminals import soon

_ROWS, _COLUMNS = 24, 80


class Screen:
    """A screen of 80 columns and 24 rows in an own tmux server, which is reached by `socket`."""

    def __init__(self, socket: Path) -> None:
        self._tmux = [require("tmux"), "-S", str(socket), "-f", "/dev/null"]

    def start(self, argv: list[str], environment: Mapping[str, str], directory: Path) -> None:
        size = ["-x", str(_COLUMNS), "-y", str(_ROWS)]
        # `cat` keeps the window open after the program has ended, so that the last screen can be read.
        command = f"{shlex.join(argv)}; exec cat"
        self._do("new-session", "-d", *size, "-c", str(directory), command, environment=environment)

    def stop(self) -> None:
        self._do("kill-server")

    @property
    def rows(self) -> list[str]:
        """Return the lines of the screen, without trailing blanks and without empty lines at the end."""
        return self._do("capture-pane", "-p").rstrip("\n").split("\n")

    @property
    def cursor(self) -> tuple[int, int]:
        """Return column and row of the cursor, from 0."""
        column, row = self._do("display-message", "-p", "#{cursor_x} #{cursor_y}").split()
        return int(column), int(row)

    def see(self, text: str) -> list[str]:
        """Wait until a line is `text` or begins with it. Return the screen."""
        soon(
            lambda: any(row.startswith(text) for row in self.rows),
            lambda: f"{text!r} is not on\n" + "\n".join(self.rows),
        )
        return self.rows

    def type(self, text: str) -> None:
        """Type. The return key is \\r."""
        self._do("send-keys", "-H", *(f"{byte:x}" for byte in text.encode()))

    def resize(self, columns: int, rows: int) -> None:
        self._do("resize-window", "-x", str(columns), "-y", str(rows))

    def _do(self, *words: str, environment: Mapping[str, str] | None = None) -> str:
        done = subprocess.run(
            [*self._tmux, *words], env=environment, capture_output=True, text=True, timeout=30, check=True
        )
        return done.stdout


@contextlib.contextmanager
def screen(argv: list[str], environment: Mapping[str, str], directory: Path) -> Iterator[Screen]:
    """Run a program in its own terminal for the length of the block."""
    with tempfile.TemporaryDirectory(prefix="socksify-tmux-") as name:
        shown = Screen(Path(name, "socket"))
        shown.start(argv, environment, directory)
        try:
            yield shown
        finally:
            shown.stop()
