"""The far side of the network that records, with room for servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.reports.compatibility.place import Place, place
from tests.support.network.recorded import RecordedNetwork


@pytest.fixture
def where(network: RecordedNetwork) -> Iterator[Place]:
    with place(network) as here:
        yield here
