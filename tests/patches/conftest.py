from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.stepping import Stepping, stepping


@pytest.fixture
def steps() -> Iterator[Stepping]:
    """A proxy that stops at each step; everything is routed through it."""
    with stepping() as steps:
        yield steps


@pytest.fixture
def sock(steps: Stepping) -> Iterator[socket.socket]:  # noqa: ARG001 (to be closed before the proxy ends)
    """Non-blocking, not connected yet."""
    with socket.socket() as sock:
        sock.setblocking(False)
        yield sock
