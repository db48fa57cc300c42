"""Routing in the test's own process: installed for the length of a block, and nothing left behind after it.

Loopback is direct by default; here it is what goes through the proxy.
"""

from __future__ import annotations

import contextlib
import gc
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import socksify
from socksify import patches
from socksify.tunnel.registry import registry

LOOPBACK = ("127.0.0.0/8=proxy", "::1=proxy", "localhost=proxy")
SECONDS = 10.0


@contextlib.contextmanager
def routed(*urls: str, routes: tuple[str, ...] = LOOPBACK, **settings: Any) -> Iterator[None]:
    """Connections go through the chain of `urls`; afterwards no entry and no fd may be left."""
    fds = open_fds()
    socksify.install(list(urls), routes=list(routes), **settings)
    try:
        yield
        gone(entries)
    finally:
        socksify.uninstall()
        assert not patches.is_installed()
    gone(lambda: open_fds() - fds)


def entries() -> list[object]:
    """What the registry holds of sockets that still mean something."""
    registry.sweep()
    return [*registry.by_fd, *registry.unsettled, *registry.deadlines.everyone()]


def open_fds() -> set[int]:
    """The open descriptors, without the one that is used to look."""
    return {fd for fd in map(int, os.listdir("/proc/self/fd")) if _is_open(fd)}


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def gone(look: Callable[[], object]) -> None:
    """Wait until nothing is left: the threads of the tests' servers close their ends a moment after the client."""
    if not look():
        return
    deadline = time.monotonic() + SECONDS
    # What is left may be in a reference cycle. Collect once only: a collection keeps the servers' threads from running.
    gc.collect()
    while left := look():
        assert time.monotonic() < deadline, left
        # Nothing tells when another thread has closed a descriptor.
        time.sleep(0.01)
