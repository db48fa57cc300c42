"""Embedded servers for the tests of the server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from socksify.server.core.loop import Loop
from socksify.server.embedded import policy_of
from socksify.server.policy.limits import Limits
from socksify.server.policy.policy import Policy
from tests.unit.server.running import Running, run


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def running() -> Iterator[Running]:
    yield from run(Policy())


@pytest.fixture
def guarded() -> Iterator[Running]:
    """A server that lets alice in with her password, and nobody else."""
    policy = policy_of(lambda user, password: (user, password) == (b"alice", b"open sesame"))
    policy.limits = Limits(failed_seconds=0.01)
    yield from run(policy)
