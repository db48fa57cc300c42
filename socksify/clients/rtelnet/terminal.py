"""The user's terminal: its modes, its size, and a prompt. If stdin is a pipe, only reading and writing remain."""

from __future__ import annotations

import os
import sys
import termios
from typing import Any

_STDIN = 0
# Indices into the list that tcgetattr() returns.
_IFLAG, _OFLAG, _LFLAG, _CC = 0, 1, 3, 6


class Terminal:
    """Standard input and output. `is_tty` is True if the input is a terminal. Otherwise no modes are changed."""

    def __init__(self) -> None:
        self.is_tty = os.isatty(_STDIN)
        self._initial_mode = termios.tcgetattr(_STDIN) if self.is_tty else None
        self._in_line = False

    def set(self, by_character: bool, remote_echo: bool, escape: bytes | None) -> None:
        """Set the mode: read keys one by one or in lines, and echo them unless the server does.

        In line mode the `escape` character ends a line, too.
        """
        if self._initial_mode is None:
            return
        mode = [*self._initial_mode[:_CC], [*self._initial_mode[_CC]]]
        if by_character:
            _read_single_keys(mode, remote_echo)
        elif escape is not None:
            # The escape character must be noticed as soon as it is typed.
            mode[_CC][termios.VEOL] = escape
        if remote_echo:
            mode[_LFLAG] &= ~termios.ECHO
        else:
            mode[_LFLAG] |= termios.ECHO
        termios.tcsetattr(_STDIN, termios.TCSADRAIN, mode)

    def restore(self) -> None:
        """Restore the modes that the terminal had at the start."""
        if self._initial_mode is not None:
            termios.tcsetattr(_STDIN, termios.TCSADRAIN, self._initial_mode)

    def size(self) -> tuple[int, int]:
        """Return rows and columns. RFC 1073: zero "means that the size is not specified"."""
        if not self.is_tty:
            return 0, 0
        columns, rows = os.get_terminal_size(_STDIN)
        return rows, columns

    def ask(self, prompt: str, typed: bytes) -> tuple[str, bytes]:
        """Show a prompt and read a line. `typed` holds the bytes that were typed already.

        Returns the line, and the bytes that were typed after it.
        """
        self.restore()
        self.show(prompt.encode() + typed.replace(b"\r", b"\n"))
        while not (end := _end_of_line(typed)):
            piece = self.read()
            if not piece:
                end = len(typed)
                break
            typed += piece
        self._in_line = False
        return typed[:end].decode(errors="replace").strip(), typed[end:]

    def read(self) -> bytes:
        """Read from the terminal or the pipe; b"" at the end."""
        return os.read(_STDIN, 1 << 16)

    def show(self, data: bytes) -> None:
        """Write bytes of the server to the screen."""
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        self._in_line = not data.endswith(b"\n") if data else self._in_line

    def tell(self, text: str) -> None:
        """Show a message of rtelnet itself, on a line of its own. Scripts on a pipe do not see such messages."""
        if self.is_tty:
            # An unfinished line of the server, such as a prompt, stays on its own line.
            self.show(b"\n" * self._in_line + f"{text}\n".encode())


def _read_single_keys(mode: list[Any], remote_echo: bool) -> None:
    """Change the mode so that all keys go to the server: no signals, no flow control, no line editing by the kernel."""
    mode[_LFLAG] &= ~(termios.ICANON | termios.ISIG | termios.IEXTEN)
    mode[_IFLAG] &= ~(termios.IXON | termios.ISTRIP | termios.BRKINT)
    mode[_CC][termios.VMIN], mode[_CC][termios.VTIME] = 1, 0
    if remote_echo:
        mode[_IFLAG] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR)
        mode[_OFLAG] &= ~termios.OPOST


def _end_of_line(typed: bytes) -> int:
    """Return the index after the end of the first line; 0 if no line ends."""
    ends = [typed.find(end) for end in (b"\r", b"\n") if end in typed]
    return min(ends) + 1 if ends else 0


def visible(character: bytes | None) -> str:
    """Return a printable name of a key: `^]` for a control character, "off" for None."""
    if character is None:
        return "off"
    return (
        f"^{chr(character[0] ^ 0x40)}" if character[0] < 0x20 or character[0] == 0x7F else character.decode("latin-1")
    )
