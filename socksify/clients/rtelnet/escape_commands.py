"""The commands that a user can type after the escape character."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable

from socksify.clients.rtelnet.session import Session
from socksify.clients.rtelnet.telnet import COMMANDS as SENDABLE
from socksify.clients.rtelnet.terminal import visible


class UsageError(Exception):
    """An unknown command, or one with wrong arguments; the message tells the correct form."""


def run(session: Session, line: str) -> None:
    """Run the command `line`. An empty line only goes back to the session. Errors are shown to the user."""
    try:
        if line.startswith("!"):
            _shell(line[1:].strip())
        elif line:
            word, *words = line.split()
            name = _find(word.lower())
            function, usage, _ = _COMMANDS[name]
            if not words if usage.endswith("...") else len(words) != len(usage.split()):
                raise UsageError(f"usage: {name} {usage}".rstrip())
            function(session, *words)
    except UsageError as error:
        session.terminal.tell(str(error))


def _find(name: str) -> str:
    """Return the command with this name, or the only one whose name begins with it."""
    candidates = [full for full in _COMMANDS if full.startswith(name)]
    if name in _COMMANDS or len(candidates) == 1:
        return name if name in _COMMANDS else candidates[0]
    raise UsageError(f"which of {', '.join(candidates)}?" if candidates else f"{name}: no such command; see help")


def _close(session: Session) -> None:
    session.end()
    session.terminal.tell("Connection closed.")


def _mode(session: Session, wanted: str) -> None:
    modes = {"character": True, "raw": True, "line": False}
    if wanted not in modes:
        raise UsageError(f"mode: one of {', '.join(modes)}")
    session.set_mode(modes[wanted])
    if session.protocol.speaks_telnet:
        session.protocol.ask_by_character(modes[wanted])


def _send(session: Session, *names: str) -> None:
    for name in names:
        if name == "escape" and session.escape is not None:
            session.protocol.send_keys(session.escape)
        elif name in SENDABLE:
            session.protocol.send_command(name)
        else:
            raise UsageError(f"send: one of escape, {', '.join(SENDABLE)}")


def _toggle(session: Session, name: str) -> None:
    protocol = session.protocol
    if name == "crlf":
        protocol.toggle_crlf()
        session.terminal.tell(f"the return key sends CR {'LF' if protocol.sends_crlf else 'NUL'}")
    elif name == "binary":
        protocol.ask_binary(not protocol.sends_binary)
    else:
        raise UsageError("toggle: crlf or binary")


def _status(session: Session) -> None:
    protocol, tell = session.protocol, session.terminal.tell
    tell(f"{'telnet' if protocol.speaks_telnet else 'no telnet so far'}, escape character {visible(session.escape)}")
    tell(f"keys go {'one by one' if session.by_character else 'in lines'}")
    tell(f"{'the server' if protocol.echoes else 'this side'} shows what is typed")
    tell(f"eight bits: sent {_yes(protocol.sends_binary)}, received {_yes(protocol.receives_binary)}")


def _suspend(session: Session) -> None:
    session.terminal.restore()
    os.kill(0, signal.SIGTSTP)


def _shell(line: str) -> None:
    subprocess.run(line or os.environ.get("SHELL", "/bin/sh"), shell=True, check=False)


def _help(session: Session) -> None:
    for name, (_, words, text) in _COMMANDS.items():
        session.terminal.tell(f"{f'{name} {words}':24}{text}")
    session.terminal.tell(f"{'!COMMAND':24}run a command of the shell; an empty line goes back to the session")


def _yes(value: bool) -> str:
    return "yes" if value else "no"


# The function of each command, its arguments, and its description.
_COMMANDS: dict[str, tuple[Callable[..., None], str, str]] = {
    "close": (_close, "", "close the connection, and leave"),
    "quit": (_close, "", "the same"),
    "mode": (_mode, "character|raw|line", "send keys one by one, or lines"),
    "send": (_send, "WORD...", f"send escape, {', '.join(SENDABLE)}"),
    "toggle": (_toggle, "crlf|binary", "what the return key sends; eight bits both ways"),
    "status": (_status, "", "show the state of the session"),
    "z": (_suspend, "", "suspend rtelnet"),
    "help": (_help, "", "show the commands"),
    "?": (_help, "", "the same"),
}
