"""Runs commands: one line at a time, whatever it does to the connection."""

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
    """Runs one command; whether it did what it was asked. What went wrong has been said.

    Raises Quit, and KeyboardInterrupt when the user interrupts a script.
    """
    try:
        _run(session, line)
    except Lost as error:
        session.screen.complain(str(session.lost(error)))
    except (Failure, OSError, ValueError, EOFError, ftplib.Error) as error:
        session.screen.complain(f"{parsing.name(line)}: {_told(error)}")
    except KeyboardInterrupt:
        if not session.screen.is_interactive:
            raise
        _interrupted(session)
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
    """The command of that name, or the only one that begins so. Raises Failure."""
    name = _ALIASES.get(name, name)
    if name in BY_NAME:
        return BY_NAME[name]
    begun = [command for command in BY_NAME.values() if command.name.startswith(name)]
    if len(begun) == 1:
        return begun[0]
    raise Failure(f"which of {', '.join(command.name for command in begun)}?" if begun else "no such command; see help")


def _told(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and not error.filename:
        # A proxy's story is longer than its errno.
        return str(error).partition("] ")[2] or error.strerror
    return str(error) or type(error).__name__


def _interrupted(session: Session) -> None:
    """Ends the command, not the session; interrupted again, the connection."""
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
    Command("help", _help, "[COMMAND]", "tell the commands, or one of them", most=1),
    Command("!", _shell, "[COMMAND]", "run a command of the shell, or a shell", most=1),
    Command("quit", _quit, "", "leave the server, and rftp"),
)
BY_NAME = {
    command.name: command
    for command in (*connection_commands.COMMANDS, *directory_commands.COMMANDS, *transfer_commands.COMMANDS, *_OWN)
}
_ALIASES = {"?": "help", "bye": "quit", "exit": "quit", "disconnect": "close", "recv": "get", "send": "put"}
