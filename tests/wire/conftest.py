"""The network outside, once for all the tests that a worker runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.wire import outside
from tests.wire.namespaces import needs_root


@pytest.fixture(scope="session")
def root() -> None:
    needs_root()


@pytest.fixture(scope="session")
def net(root: None) -> Iterator[outside.Outside]:  # noqa: ARG001
    with outside.outside() as network:
        yield network
