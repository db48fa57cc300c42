"""Rules, and a client that is served, for tests of a running sockd."""

from __future__ import annotations

from tests.support.running_sockd import Sockd
from tests.support.targets import Target
from tests.unit.server import client

RULES = """
[[rules]]
action = "permit"
to = [":{port}"]

[[rules]]
action = "deny"
"""


def serve_one(server: Sockd, target: Target) -> None:
    with server.connect() as stream:
        assert client.ask(stream, 5, *target.address) == 0
