"""Forked children that a test runs a part of itself in."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable

SECONDS = 10.0


def run_in_child(call: Callable[[], bool]) -> int:
    """Return the exit status of a forked child: 0 if `call` returned True, 1 if it returned False, 2 if it raised."""
    pid = os.fork()
    if pid == 0:
        status = 2
        try:
            status = 0 if call() else 1
        finally:
            os._exit(status)
    return exit_status(pid)


def exit_status(pid: int) -> int:
    """Wait for a child and return its exit status. A child that hangs is killed."""
    descriptor = os.pidfd_open(pid)
    try:
        if not select.select([descriptor], [], [], SECONDS)[0]:
            os.kill(pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        os.close(descriptor)
