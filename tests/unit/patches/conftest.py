from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from socksify.routing import fake_addresses
from tests.support.resolver import record_questions
from tests.support.stepping import Stepping, stepping


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


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> fake_addresses.FakeAddressTable:
    """A table of fake addresses of the test's own, which begins with the first."""
    table = fake_addresses.FakeAddressTable(random_index=lambda _: 0)
    monkeypatch.setattr(fake_addresses, "TABLE", table)
    return table


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The names that the system's resolver is asked for from now on. It knows none of them."""
    return record_questions(monkeypatch)
