"""Runs an embedded server that keeps its reports, and connects to it."""

from __future__ import annotations

import queue
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from socksify.server.embedded import Embedded
from socksify.server.policy.limits import Limits
from socksify.server.policy.policy import Policy
from socksify.server.session.bulk_thread import BulkLoop
from socksify.server.session.report import Report

Connect = Callable[[], socket.socket]


@dataclass
class Running:
    """A server under test. `connect()` opens a connection to it, `report()` waits for the end of the next session."""

    server: Embedded
    policy: Policy
    reports: queue.Queue[Report]
    connections: ExitStack

    def connect(self) -> socket.socket:
        address = (self.server.host, self.server.port)
        return self.connections.enter_context(socket.create_connection(address, timeout=10))

    def report(self) -> Report:
        return self.reports.get(timeout=10)

    @property
    def bulk(self) -> BulkLoop:
        """The loop of the server's bulk thread, which is started if need be."""
        bulk = self.server._server.services.bulk_loop()
        assert bulk is not None
        return bulk

    def limit(self, **limits: float) -> None:
        """Changes limits of the policy in force."""
        self.policy.limits = Limits().replace(**limits)


def run(policy: Policy) -> Iterator[Running]:
    reports: queue.Queue[Report] = queue.Queue()
    server = Embedded(policy, reports.put)
    try:
        with ExitStack() as connections:
            yield Running(server, policy, reports, connections)
    finally:
        server.close()
