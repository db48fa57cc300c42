"""The live sessions, told to whoever may look into a directory: a Unix socket there for each process that serves.

Each is named after its process, so that several workers, and several servers, need not know of each other: `sockd
--status` asks all that it finds. The file's permissions say who may ask, the server's own user and root.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Mapping

from socksify import _originals
from socksify.server.core.loop import Loop
from socksify.server.operation.responder import Answers
from socksify.server.session.report import place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from socksify.server.session.server import Server

    # What a process says of itself, and its sessions.
    Told = tuple[dict[str, Any], list[dict[str, Any]]]

SUFFIX = ".sock"
# How long `ask` waits for a process that does not answer, as one that is stopped.
ASK_SECONDS = 5.0
# Waiting to be accepted; see answering.MOST.
BACKLOG = 16


def usual_directory(environ: Mapping[str, str]) -> str:
    """Where the sockets are unless something else is said; "" where there is no such place."""
    # systemd.exec(5), RuntimeDirectory=: "a colon-separated list" of what was made for the service.
    given = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if given or os.geteuid() == 0:
        return given or "/run/sockd"
    own = environ.get("XDG_RUNTIME_DIR", "")
    return os.path.join(own, "sockd") if own else ""


class Status:
    """Tells the sessions of `server` in `directory`, which is made if need be; to be closed. Raises OSError."""

    def __init__(self, loop: Loop, server: Server, directory: str) -> None:
        os.makedirs(directory, 0o700, exist_ok=True)
        _sweep(directory)
        self._path = os.path.join(directory, f"{os.getpid()}{SUFFIX}")
        self._answers = Answers(loop, _listening(loop, self._path), lambda _: _told(server))

    def close(self) -> None:
        self._answers.close()
        _unlink(self._path)


def ask(directory: str) -> tuple[list[Told], list[str]]:
    """What each process that serves says, and the names of those that do not answer. Raises OSError for who may not."""
    told: list[Told] = []
    silent: list[str] = []
    for path in _sockets(directory):
        try:
            process, *sessions = map(json.loads, _read(path).splitlines())
        except (ConnectionError, FileNotFoundError, ValueError):
            # It has ended, maybe in the middle of its answer, or is about to begin.
            continue
        except (TimeoutError, BlockingIOError):
            # EAGAIN, where others wait already.
            silent.append(f"sockd[{os.path.basename(path).removesuffix(SUFFIX)}]")
            continue
        told.append((process, sessions))
    return told, silent


def in_words(process: Mapping[str, Any], sessions: list[dict[str, Any]]) -> str:
    """What `ask` was told, for people."""
    head = f"sockd[{process['pid']}] on {', '.join(process['listening']) or 'nothing any more'}: "
    lines = [f"{head}{len(sessions)} live of {process['accepted']} accepted"]
    lines += [f"  {_line(session)}" for session in sessions]
    return "\n".join(lines) + "\n"


def _line(session: Mapping[str, Any]) -> str:
    who = session["client"] if session["user"] is None else f"{session['user']}@{session['client']}"
    what = f"{session['command']} {session['target']}".rstrip() or "-"
    amounts = f"{session['up']} bytes up, {session['down']} down, {session['seconds']:.0f} s"
    return f"{who} {what}: {session['stage']}, {amounts}"


def _told(server: Server) -> bytes:
    listening = [place(host, port) if port else host for host, port in server.addresses]
    own = {"pid": os.getpid(), "listening": listening, "accepted": server.accepted}
    sessions = [{name: getattr(report, name) for name in report._fields} for report in server.sessions()]
    return b"".join(json.dumps(told).encode() + b"\n" for told in (own, *sessions))


def _listening(loop: Loop, path: str) -> _originals.Socket:
    # A process of the same number, long gone, may have left it.
    _unlink(path)
    listener = loop.stream(socket.AF_UNIX)
    try:
        _originals.bind(listener, path)
        # Nobody can connect before listen(), so nobody can while it is still everybody's.
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


def _sweep(directory: str) -> None:
    """Removes what processes left that were killed."""
    for path in _sockets(directory):
        if not _is_alive(os.path.basename(path).removesuffix(SUFFIX)):
            _unlink(path)


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError, OverflowError):
        # Somebody else's, or no process at all: not for us to remove.
        pass
    return True


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
