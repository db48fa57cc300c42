"""The descriptors of the launcher and the supervisor, which have inherited those of the program."""

from __future__ import annotations

import os
import resource


def leave_inherited() -> None:
    """Close what the user has passed on to the program: another process may wait for its end.

    Standard error stays open, for messages. Descriptors that Python has opened itself are closed on exec, and stay.
    """
    inherited = [int(name) for name in os.listdir("/proc/self/fd") if int(name) > 2]
    for fd in inherited:
        try:
            if os.get_inheritable(fd):
                os.close(fd)
        except OSError:  # the descriptor that has read the directory
            pass
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for standard in (0, 1):
        os.dup2(null, standard)
    if null > 2:
        os.close(null)


def raise_limit() -> None:
    """Allow this process as many descriptors as it may have. The supervisor has some for each connection."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
