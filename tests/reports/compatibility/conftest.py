"""The host that the programs' servers run on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.reports.compatibility.server_host import ServerHost, server_host
from tests.support.network.recorded import RecordedNetwork


@pytest.fixture
def host(network: RecordedNetwork) -> Iterator[ServerHost]:
    with server_host(network) as found:
        yield found
