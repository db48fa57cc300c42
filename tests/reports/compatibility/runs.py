"""Runs a program and records what the proxy and the targets saw of its connections."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.reports import client_runs
from tests.reports.client_runs import Run
from tests.reports.compatibility.programs import OLDER, Program
from tests.reports.launchers import Launcher
from tests.support.network.recorded import RecordedNetwork


@dataclass(frozen=True)
class ObservedRun:
    """A run, the connections that the proxy made meanwhile, and the number of connections that reached a target.

    A connection is `reached` if it came from the proxy. A client's own connection comes by its wire, and is a leak.
    """

    run: Run
    proxied: list[str]
    reached: int

    @property
    def count(self) -> str:
        """How many of the targets' connections the proxy has seen."""
        return f"{len(self.proxied)} of {self.reached}"

    def verdict(self, native: Run) -> str:
        found = self.run.verdict(native)
        return "unseen" if found == "ok" and not len(self.proxied) == self.reached > 0 else found

    @property
    def story(self) -> str:
        return f"the proxy connected to {', '.join(self.proxied) or 'nobody'}; {self.run.story}"


def run(network: RecordedNetwork, launcher: Launcher, program: Program) -> ObservedRun:
    if program.older:
        launcher = replace(launcher, environment={**launcher.environment, "PYTHONPATH": str(OLDER)})
    before = len(network.connected())
    network.reached()
    done = client_runs.run(network, launcher, program.command)
    proxied = network.connected()[before:]
    # The servers' own connections to one another, on other ports, do not count.
    ports = {*program.server.ports, *(int(address.rpartition(":")[2]) for address in proxied)}
    return ObservedRun(done, proxied, sum(packet.port in ports for packet in network.reached()))
