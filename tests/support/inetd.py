"""A small inetd: runs a server program for each connection, with the connection as its stdin and stdout.

python tests/support/inetd.py HOST PORT PROGRAM ARGUMENTS...
"""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import free_port, running

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Service:
    """A program that serves on `port` of `host`. The file `log` has its stderr."""

    port: int
    log: Path
    host: str = HOST


@contextlib.contextmanager
def service(*argv: str, host: str = HOST, port: int | None = None) -> Iterator[Service]:
    """Run `argv` for each connection, for the length of the block."""
    with tempfile.TemporaryDirectory(prefix="socksify-inetd-") as directory:
        found = Service(port or free_port(host), Path(directory, "log"), host)
        command = [sys.executable, "-m", "tests.support.inetd", host, str(found.port), *argv]
        with running(command, argv[0], (found.host, found.port), found.log):
            yield found


def main() -> None:
    # The kernel reaps children that have ended.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    host, port = sys.argv[1], int(sys.argv[2])
    with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as listener:
        while True:
            connection, _ = listener.accept()
            with connection:
                subprocess.Popen(sys.argv[3:], stdin=connection.fileno(), stdout=connection.fileno())


if __name__ == "__main__":
    main()
