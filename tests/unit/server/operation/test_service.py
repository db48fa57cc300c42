"""One process that serves: how it uses a plan, at its start and after a reload."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from socksify.server.config.plan import Plan
from socksify.server.core.loop import Loop
from socksify.server.net.listeners import listen
from socksify.server.operation.log import DescriptorSink, Log
from socksify.server.operation.metrics import Table
from socksify.server.operation.service import ServingProcess
from socksify.server.policy.limits import Limits
from socksify.server.policy.policy import Policy

Serve = Callable[[Plan], ServingProcess]


def plan(workers: int, connections: int) -> Plan:
    policy = Policy(limits=Limits(connections=connections))
    return Plan(policy, False, (), workers, "stderr", "text", "", "")


@pytest.fixture
def serve() -> Iterator[Serve]:
    loop = Loop()
    services = []

    def serve(plan: Plan) -> ServingProcess:
        log = Log(loop, DescriptorSink(2), plan.log_format)
        services.append(ServingProcess(loop, [listen(loop, "127.0.0.1", 0)], plan, log, Table(1).rows[0]))
        return services[-1]

    yield serve
    for service in services:
        service.close()
    loop.close()


@pytest.mark.parametrize(("workers", "connections"), [(1, 30), (3, 10), (4, 8)])
def test_a_worker_has_its_share_of_the_limits(workers: int, connections: int, serve: Serve) -> None:
    assert serve(plan(workers, 30)).server.services.policy.limits.connections == connections


def test_a_reload_that_speaks_of_more_workers_gets_no_more(serve: Serve) -> None:
    """The number of workers changes with a restart only."""
    service = serve(plan(3, 30))
    service.reload(plan(6, 60))
    assert service.server.services.policy.limits.connections == 20
