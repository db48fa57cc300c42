"""The user's terminal: its modes, its size, and a prompt in between. Not much of it is there when stdin is a pipe."""

from __future__ import annotations

import os
import sys
import termios

_STDIN = 0
# The fields of what tcgetattr() returns.
_IFLAG, _OFLAG, _LFLAG, _CC = 0, 1, 3, 6


class Terminal:
    """Standard input and output; changes nothing unless the input is a terminal."""

    def __init__(self) -> None:
        self.is_there = os.isatty(_STDIN)
        self._found = termios.tcgetattr(_STDIN) if self.is_there else None
        self._in_line = False

    def set(self, by_character: bool, remote_echo: bool, escape: bytes | None) -> None:
        """Takes keys one by one or in lines, shown by us unless the server does."""
        if self._found is None:
            return
        mode = [*self._found[:_CC], [*self._found[_CC]]]
        if by_character:
            # The user's keys are the server's: no signals, no flow control, none of the kernel's editing.
            mode[_LFLAG] &= ~(termios.ICANON | termios.ISIG | termios.IEXTEN)
            mode[_IFLAG] &= ~(termios.IXON | termios.ISTRIP | termios.BRKINT)
            mode[_CC][termios.VMIN], mode[_CC][termios.VTIME] = 1, 0
            if remote_echo:
                mode[_IFLAG] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR)
                mode[_OFLAG] &= ~termios.OPOST
        elif escape is not None:
            # A line ends at the escape character too, so that it is seen when it is typed.
            mode[_CC][termios.VEOL] = escape
        if remote_echo:
            mode[_LFLAG] &= ~termios.ECHO
        else:
            mode[_LFLAG] |= termios.ECHO
        termios.tcsetattr(_STDIN, termios.TCSADRAIN, mode)

    def restore(self) -> None:
        """Leaves the terminal as it was found."""
        if self._found is not None:
            termios.tcsetattr(_STDIN, termios.TCSADRAIN, self._found)

    def size(self) -> tuple[int, int]:
        """Rows and columns; RFC 1073: zero "means that the size is not specified"."""
        if not self.is_there:
            return 0, 0
        columns, rows = os.get_terminal_size(_STDIN)
        return rows, columns

    def ask(self, prompt: str, typed: bytes) -> tuple[str, bytes]:
        """A line that the user types, which may have begun before, and what was typed behind it."""
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
        """What was typed or piped; nothing at the end."""
        return os.read(_STDIN, 1 << 16)

    def show(self, data: bytes) -> None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        self._in_line = not data.endswith(b"\n") if data else self._in_line

    def tell(self, text: str) -> None:
        """A line of our own, which a script on a pipe is not interested in."""
        if self.is_there:
            # What a server leaves unfinished, such as a prompt, keeps its line.
            self.show(b"\n" * self._in_line + f"{text}\n".encode())


def _end_of_line(typed: bytes) -> int:
    """Where the first line ends, behind its end; 0 when it has none."""
    ends = [typed.find(end) for end in (b"\r", b"\n") if end in typed]
    return min(ends) + 1 if ends else 0


def visible(character: bytes | None) -> str:
    """A control character as it is typed."""
    if character is None:
        return "off"
    return (
        f"^{chr(character[0] ^ 0x40)}" if character[0] < 0x20 or character[0] == 0x7F else character.decode("latin-1")
    )
