"""sockd as a user starts it, for the tests: a process of its own, ended by its own handle."""

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
    """A running server: where it listens, and what it writes to stderr, a line at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.addresses: list[tuple[str, int]] = []

    def listens(self) -> Sockd:
        """Waits until it does."""
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
        """The next line with `part` in it; those before it are passed over."""
        passed = ""
        for line in iter(lambda: self._lines.get(timeout=WAIT_SECONDS), ""):
            if part in line:
                return line
            passed += line
        raise AssertionError(f"{part!r} was never said, but: {passed}")

    def end(self) -> str:
        """The rest of what was said, once the process has ended."""
        self.process.wait(WAIT_SECONDS)
        self._reader.join(WAIT_SECONDS)
        return "".join(iter(lambda: self._lines.get(timeout=WAIT_SECONDS), ""))

    def stop(self) -> None:
        """The first SIGTERM lets sessions end that the test may have left; signals that come together may be one."""
        for _ in range(20):
            self.process.terminate()
            try:
                self.process.wait(0.1)
                break
            except subprocess.TimeoutExpired:
                pass
        else:
            end(self.process)
        # Before what it reads from is closed under it.
        self._reader.join(WAIT_SECONDS)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.put(line)
        # Nothing is said any more, to however many ask.
        self._lines.put("")


@contextmanager
def sockd(
    *options: str,
    prefix: tuple[str, ...] = (),
    pass_fds: tuple[int, ...] = (),
    **variables: str,
) -> Iterator[Sockd]:
    """Runs the command with these options and variables, behind the words of `prefix`.

    It listens on a free port of 127.0.0.1 unless the options say where, and tells its sessions nowhere.
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
    """Runs the command to its end."""
    words = [*PROGRAM, *options]
    return subprocess.run(
        words, capture_output=True, text=True, input=stdin, cwd=ROOT, env=environment(variables), timeout=60
    )


def environment(variables: dict[str, str]) -> dict[str, str]:
    # An unusable directory, so that no test leaves anything in the machine's own.
    return {**os.environ, "RUNTIME_DIRECTORY": "/dev/null/none", **variables}


def _port(place: str) -> int:
    return int(place.rpartition(":")[2])
