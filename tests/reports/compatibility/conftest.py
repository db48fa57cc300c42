"""The far side of the network that records, with room for servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.reports.compatibility.place import Place, place
from tests.reports.wire.outside import Outside


@pytest.fixture
def where(net: Outside) -> Iterator[Place]:
    with place(net) as here:
        yield here
