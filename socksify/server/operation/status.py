"""The list of live sessions: each process that serves answers on a Unix socket in a directory.

The sockets are named after their processes, so that several workers and several servers do not disturb each other.
`sockd --status` asks all sockets that it finds. Their file permissions decide who may ask: the server's own user and
root.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Mapping

from socksify import _originals
from socksify.server.core.loop import Loop
from socksify.server.net.addresses import format_address
from socksify.server.operation.responder import Responder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from socksify.server.session.server import Server

    # The answer of a process: a description of itself, and its sessions.
    ProcessStatus = tuple[dict[str, Any], list[dict[str, Any]]]

SUFFIX = ".sock"
# How long `ask` waits for a process that does not answer, for example because it is stopped.
ASK_SECONDS = 5.0
# Connections that wait to be accepted; as many as the Responder has clients at a time.
BACKLOG = 16


class Status:
    """Reports the sessions of `server` on a socket in `directory`, which is made if necessary. Must be closed.

    Raises OSError if the directory or the socket cannot be made.
    """

    def __init__(self, loop: Loop, server: Server, directory: str) -> None:
        os.makedirs(directory, 0o700, exist_ok=True)
        _remove_stale(directory)
        self._path = os.path.join(directory, f"{os.getpid()}{SUFFIX}")
        self._responder = Responder(loop, _listen(loop, self._path), lambda _: _answer(server))

    def close(self) -> None:
        """Close the socket, and remove it from the directory."""
        self._responder.close()
        _unlink(self._path)


def ask(directory: str) -> tuple[list[ProcessStatus], list[str]]:
    """Return the answers of all processes, and the names of those that do not answer.

    Raises OSError if the directory or a socket in it may not be used.
    """
    answers: list[ProcessStatus] = []
    silent: list[str] = []
    for path in _sockets(directory):
        try:
            process, *sessions = map(json.loads, _read(path).splitlines())
        except (ConnectionError, FileNotFoundError, ValueError):
            # The process has ended, maybe during its answer, or it does not listen yet.
            continue
        except (TimeoutError, BlockingIOError):
            # EAGAIN stands for a full backlog.
            silent.append(f"sockd[{os.path.basename(path).removesuffix(SUFFIX)}]")
            continue
        answers.append((process, sessions))
    return answers, silent


def as_text(process: Mapping[str, Any], sessions: list[dict[str, Any]]) -> str:
    """Return one answer of `ask` as lines for people."""
    head = f"sockd[{process['pid']}] on {', '.join(process['listening']) or 'nothing any more'}: "
    lines = [f"{head}{len(sessions)} live of {process['accepted']} accepted"]
    lines += [f"  {_session_as_text(session)}" for session in sessions]
    return "\n".join(lines) + "\n"


def _session_as_text(session: Mapping[str, Any]) -> str:
    client = session["client"] if session["user"] is None else f"{session['user']}@{session['client']}"
    request = f"{session['command']} {session['target']}".rstrip() or "-"
    amounts = f"{session['up']} bytes up, {session['down']} down, {session['seconds']:.0f} s"
    return f"{client} {request}: {session['stage']}, {amounts}"


def _answer(server: Server) -> bytes:
    """Return the status of this process: JSON objects, one on each line, the first about the process itself."""
    listening = [format_address(host, port) if port else host for host, port in server.addresses]
    process = {"pid": os.getpid(), "listening": listening, "accepted": server.accepted}
    sessions = [{name: getattr(report, name) for name in report._fields} for report in server.sessions()]
    return b"".join(json.dumps(item).encode() + b"\n" for item in (process, *sessions))


def _listen(loop: Loop, path: str) -> _originals.Socket:
    # An earlier process with the same id may have left its socket.
    _unlink(path)
    listener = loop.stream(socket.AF_UNIX)
    try:
        _originals.bind(listener, path)
        # Nobody can connect before listen(), so it does no harm that bind() has made the socket with other permissions.
        os.chmod(path, 0o600)
        listener.listen(BACKLOG)
    except BaseException:
        loop.discard(listener)
        raise
    return listener


def _sockets(directory: str) -> list[str]:
    return sorted(os.path.join(directory, name) for name in os.listdir(directory) if name.endswith(SUFFIX))


def _read(path: str) -> bytes:
    with contextlib.closing(_originals.Socket(socket.AF_UNIX, socket.SOCK_STREAM)) as stream:
        stream.settimeout(ASK_SECONDS)
        _originals.connect(stream, path)
        return b"".join(iter(lambda: stream.recv(1 << 20), b""))


def _remove_stale(directory: str) -> None:
    """Remove the sockets of processes that were killed."""
    for path in _sockets(directory):
        if not _is_alive(os.path.basename(path).removesuffix(SUFFIX)):
            _unlink(path)


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError, OverflowError):
        # The process belongs to another user, or the file belongs to no process. It must not be removed.
        pass
    return True


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
