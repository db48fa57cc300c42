"""Finds, starts and ends the programs that tests need, and gives each server a free port."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

START_SECONDS = 10.0
STOP_SECONDS = 5.0
# How many ports a process claims at a time.
BLOCK = 400


def require(binary: str) -> str:
    """Return the path of a program. If it is missing, the test fails in CI and is skipped elsewhere."""
    # Servers are in /usr/sbin, which is not on every user's PATH.
    found = shutil.which(binary, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")
    return found or unavailable(f"{binary} is not installed (make test, as root, installs what the tests need)")


def unavailable(reason: str) -> str:
    """Skip the test since something is missing. In CI the test fails, so that a skip does not look like a success."""
    if os.environ.get("CI", "").lower() in ("true", "1"):
        pytest.fail(f"NOT TESTED: {reason}", pytrace=False)
    pytest.skip(f"NOT TESTED: {reason}")


def free_port(host: str = "127.0.0.1") -> int:
    """Return a free TCP port that no other test gets.

    The port is below the ephemeral range, so no outgoing connection can take it before the server does. There is a free
    one even if a test has left every ephemeral port in TIME_WAIT.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in itertools.islice(_claim()[1], BLOCK):
        with socket.socket(family, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
            probe.bind((host, port))
            return port
    raise RuntimeError(f"no free port on {host}")


@functools.cache
def _claim() -> tuple[socket.socket, Iterator[int]]:
    """Return a socket that holds a claim on a block of ports, and an endless iterator over these ports.

    A free port belongs to no process until the server binds it, so two processes could choose the same port. Each
    process therefore claims a block of ports first, by binding an abstract Unix socket. The kernel gives such a name to
    one process of a network namespace (unix(7)), and frees the name when the process ends.
    """
    for first in range(20_000, 32_000, BLOCK):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0socksify tests: ports from {first}")
        except OSError:
            claim.close()
        else:
            return claim, itertools.cycle(range(first, first + BLOCK))
    raise RuntimeError("every block of ports is claimed by a running test")


@contextlib.contextmanager
def running(
    argv: list[str], name: str, address: tuple[str, int], log: Path, seconds: float = START_SECONDS
) -> Iterator[None]:
    """Run a server for the length of the block. The block begins when `address` accepts connections."""
    with open(log, "wb") as output:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    try:
        if not _listens(process, address, seconds):
            raise RuntimeError(f"{name} did not start (exit status {process.poll()}):\n{log.read_text()}")
        yield
    finally:
        end(process)


def _listens(process: subprocess.Popen[bytes], address: tuple[str, int], seconds: float = START_SECONDS) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            socket.create_connection(address, timeout=seconds).close()
            return True
        # There is no event for a server that begins to listen.
        time.sleep(0.02)
    return False


def end(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """End a child process with SIGTERM; if it does not end in time, with SIGKILL."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
