"""Runs commands, one line at a time, and keeps the session usable after errors and interrupts."""

from __future__ import annotations

import ftplib
import os
import subprocess

from socksify.clients.rftp import connection_commands, directory_commands, parsing, transfer_commands
from socksify.clients.rftp.connection import Lost
from socksify.clients.rftp.console import Failure
from socksify.clients.rftp.parsing import Command
from socksify.clients.rftp.session import Session


class Quit(Exception):
    """The user wants to leave."""


def run(session: Session, line: str) -> bool:
    """Run one command. Return True if it succeeded; else the error has been shown.

    Raises Quit, and KeyboardInterrupt if the user interrupts a script.
    """
    try:
        _run(session, line)
    except Lost as error:
        session.screen.complain(str(session.lost(error)))
    except (Failure, OSError, ValueError, EOFError, ftplib.Error) as error:
        session.screen.complain(f"{parsing.name(line)}: {_message(error)}")
    except KeyboardInterrupt:
        if not session.screen.is_interactive:
            raise
        _recover(session)
    else:
        return True
    return False


def _run(session: Session, line: str) -> None:
    name, arguments = parsing.split(line)
    if not name:
        return
    command = find(name)
    command.check(len(arguments))
    command.run(session, *arguments)


def find(name: str) -> Command:
    """Return the command with this name, or the only one whose name begins with it. Raises Failure."""
    name = _ALIASES.get(name, name)
    if name in BY_NAME:
        return BY_NAME[name]
    candidates = [command for command in BY_NAME.values() if command.name.startswith(name)]
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        raise Failure("no such command; see help")
    raise Failure(f"which of {', '.join(command.name for command in candidates)}?")


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and not error.filename:
        # The message of a proxy's error says more than strerror.
        return str(error).partition("] ")[2] or error.strerror
    return str(error) or type(error).__name__


def _recover(session: Session) -> None:
    """After an interrupt, keep the connection. A second interrupt closes it."""
    if session.connection is None:
        session.screen.complain("interrupted")
        return
    session.screen.complain("interrupted; once more closes the connection")
    try:
        session.connection.resynchronise()
    except (Lost, KeyboardInterrupt, OSError, ftplib.Error) as error:
        session.screen.complain(str(session.lost(error if isinstance(error, Lost) else Lost("interrupted"))))


def _help(session: Session, name: str = "") -> None:
    shown = [find(name.lower())] if name else list(BY_NAME.values())
    width = max(len(command.usage) for command in shown)
    for command in shown:
        session.screen.show(f"{command.usage:{width}}  {command.help}")


def _shell(_session: Session, line: str = "") -> None:
    done = subprocess.run(line or os.environ.get("SHELL", "/bin/sh"), shell=True, check=False)
    if done.returncode:
        raise Failure(f"exit status {done.returncode}")


def _quit(session: Session) -> None:
    session.close()
    raise Quit


_OWN = (
    Command("help", _help, "[COMMAND]", "show the commands, or one of them", most=1),
    Command("!", _shell, "[COMMAND]", "run a command of the shell, or a shell", most=1),
    Command("quit", _quit, "", "leave the server, and rftp"),
)
BY_NAME = {
    command.name: command
    for command in (*connection_commands.COMMANDS, *directory_commands.COMMANDS, *transfer_commands.COMMANDS, *_OWN)
}
_ALIASES = {"?": "help", "bye": "quit", "exit": "quit", "disconnect": "close", "recv": "get", "send": "put"}
