"""Programs that the tests start: found or loudly missed, waited for by connecting, ended by their own handle."""

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
    """The path of a program that the tests need; without it they fail under CI, and elsewhere say what is missing."""
    # Servers live in /usr/sbin, which is not on everybody's PATH.
    found = shutil.which(binary, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")
    return found or unavailable(f"{binary} is not installed (make test, as root, installs what the tests need)")


def unavailable(reason: str) -> str:
    """Ends the test: what it needs cannot be had here. Under CI that is a failure, so that no skip passes for green."""
    if os.environ.get("CI", "").lower() in ("true", "1"):
        pytest.fail(f"NOT TESTED: {reason}", pytrace=False)
    pytest.skip(f"NOT TESTED: {reason}")


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nobody has, and that no other test is told of.

    It is below the ephemeral range, so that no outgoing connection takes it before the server does, and there is one
    even when a test has left every ephemeral port in TIME_WAIT.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in itertools.islice(_claim()[1], BLOCK):
        with socket.socket(family, socket.SOCK_STREAM) as probe, contextlib.suppress(OSError):
            probe.bind((host, port))
            return port
    raise RuntimeError(f"no free port on {host}")


@functools.cache
def _claim() -> tuple[socket.socket, Iterator[int]]:
    """The ports that this process alone hands out, round and round, and what holds them.

    A port that is free when it is found belongs to nobody until the server binds it, and processes that look at the
    same ports take them from each other then. So each claims a block of them first, by an abstract Unix socket: the
    kernel gives that to one process of a network namespace (unix(7)), as it does ports, and takes it back at its end.
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
    """Runs a server for the length of the block, which begins when `address` can be connected to."""
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
        # Nothing tells when somebody else's program begins to listen.
        time.sleep(0.02)
    return False


def end(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """Ends a child process: politely, then not."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
