"""The servers, started once in a session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.reports.loops.servers import Servers, serve


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with serve(tmp_path_factory.mktemp("loops")) as found:
        yield found
