"""The network outside, once for all the tests that a worker runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.wire import outside
from tests.wire.namespaces import needs_root


@pytest.fixture(scope="session")
def net() -> Iterator[outside.Outside]:
    needs_root()
    with outside.outside() as network:
        yield network
