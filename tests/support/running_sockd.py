"""Runs sockd for the tests as a user does: as a process."""

from __future__ import annotations

import os
import queue
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.paths import ROOT
from tests.support.processes import end

PROGRAM = [sys.executable, "-c", "import sys; from socksify.server.cli import main; sys.exit(main())"]
WAIT_SECONDS = 15.0
_LISTENING = re.compile(r'listening on ([^"\n]*)')


class Sockd:
    """A running server, its address, and the lines that it writes to stderr."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.addresses: list[tuple[str, int]] = []

    def listens(self) -> Sockd:
        """The server's address. Wait until the server listens."""
        places = _LISTENING.search(self.line("listening on"))
        assert places is not None
        self.addresses = [(place.rpartition(":")[0].strip("[]"), _port(place)) for place in places[1].split(", ")]
        return self

    @property
    def address(self) -> tuple[str, int]:
        return self.addresses[0]

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=10)

    def line(self, part: str) -> str:
        """Return the next line with `part` in it, and skip the lines before."""
        passed = ""
        for line in iter(lambda: self._lines.get(timeout=WAIT_SECONDS), ""):
            if part in line:
                return line
            passed += line
        raise AssertionError(f"{part!r} was never said, but: {passed}")

    def end(self) -> str:
        """Wait for the end of the process, and return the remaining lines."""
        self.process.wait(WAIT_SECONDS)
        self._reader.join(WAIT_SECONDS)
        return "".join(iter(lambda: self._lines.get(timeout=WAIT_SECONDS), ""))

    def stop(self) -> None:
        """End the server. The first SIGTERM lets sessions end; two signals sent together may arrive as one."""
        for _ in range(20):
            self.process.terminate()
            try:
                self.process.wait(0.1)
                break
            except subprocess.TimeoutExpired:
                pass
        else:
            end(self.process)
        # The thread must end before its pipe is closed.
        self._reader.join(WAIT_SECONDS)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.put(line)
        # Tell all waiting threads that no more lines will come.
        self._lines.put("")


@contextmanager
def sockd(
    *options: str,
    prefix: tuple[str, ...] = (),
    pass_fds: tuple[int, ...] = (),
    **variables: str,
) -> Iterator[Sockd]:
    """Run the command with these options and variables. The words of `prefix` precede the command.

    Unless the options name an address, the server listens on a free port of 127.0.0.1. It has no directory for its
    status.
    """
    where = () if "--listen" in options or "LISTEN_FDS" in variables or pass_fds else ("--listen", "127.0.0.1:0")
    with subprocess.Popen(
        [*prefix, *PROGRAM, *where, *options],
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(variables),
        pass_fds=pass_fds,
    ) as process:
        server = Sockd(process)
        try:
            yield server.listens()
        finally:
            server.stop()


def ask(*options: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    words = [*PROGRAM, *options]
    return subprocess.run(
        words, capture_output=True, text=True, input=stdin, cwd=ROOT, env=environment(variables), timeout=60
    )


def environment(variables: dict[str, str]) -> dict[str, str]:
    # A directory that cannot be used, so that no test leaves files in the machine's own.
    return {**os.environ, "RUNTIME_DIRECTORY": "/dev/null/none", **variables}


def _port(place: str) -> int:
    return int(place.rpartition(":")[2])
