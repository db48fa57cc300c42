"""twisted: one resolver calls the standard library in threads; that of twisted.names sends datagrams of its own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.certificates import NAME
from tests.support.servers import Server
from tests.support.targets import PAGE, Target
from tests.unit.patches.adapters import twisted_client

REFUSED = "ProxyPermissionError: [Errno 13] UDP to {} refused: "


@pytest.fixture(scope="module")
def told(knowing: Server, http_server: Target) -> dict[str, str]:
    """What each part of the program came to."""
    launcher = [sys.executable, "-m", "socksify", "--strict", "--seal=off", "--proxy", knowing.url()]
    command = [*launcher, twisted_client.__file__, f"http://{NAME}:{http_server.port}/"]
    child = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert child.stderr == ""
    results: dict[str, str] = json.loads(child.stdout)
    return results


def test_a_page_by_a_name_that_only_the_proxy_knows(told: dict[str, str]) -> None:
    assert told["page"] == PAGE.decode()


def test_a_page_by_a_name_that_nobody_knows(told: dict[str, str]) -> None:
    assert told["page of nobody"].startswith("ConnectError: ")
    assert "No route to host" in told["page of nobody"]


def test_the_resolver_in_threads(told: dict[str, str]) -> None:
    assert told["resolve"].startswith(("198.18.", "198.19."))


@pytest.mark.parametrize("work", ["names: address", "names: mail"])
def test_the_resolver_by_datagrams_is_refused(told: dict[str, str], work: str) -> None:
    assert told[work].startswith(REFUSED.format(f"{twisted_client.NAME_SERVER}:53"))


@pytest.mark.parametrize("work", ["datagram", "connected datagram"])
def test_datagrams_are_refused(told: dict[str, str], work: str) -> None:
    assert told[work].startswith(REFUSED.format("203.0.113.5:9"))
