"""Routes the test's own process for the length of a block, and checks that nothing is left afterwards.

By default loopback is direct; here loopback goes through the proxy.
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
    """Route connections through the chain of `urls`. Afterwards, no registry entry and no descriptor may be left."""
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
    """Return the registry's entries of sockets that still exist."""
    registry.sweep()
    return [*registry.by_fd, *registry.unsettled, *registry.deadlines.everyone()]


def open_fds() -> set[int]:
    """Return the open descriptors, without the one that reads the directory."""
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
        # There is no event for a descriptor that another thread closes.
        time.sleep(0.01)
