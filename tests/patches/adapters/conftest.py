"""A proxy that knows a name which nobody else does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import servers
from tests.servers import Server

# The proxy's name for 127.0.0.1 and ::1.
NAME = "known-there.example"


@pytest.fixture(scope="session")
def knowing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """danted, with a hosts file of its own."""
    hosts = tmp_path_factory.mktemp("knowing") / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {NAME}\n::1 localhost {NAME}\n")
    with servers.danted(hosts=hosts) as server:
        yield server
