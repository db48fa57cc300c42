"""A program run natively and in other ways, and what came of it: its output, and who saw its connections."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.reports.compatibility.matrix import OLDER, Program
from tests.reports.wire import runs
from tests.reports.wire.matrix import Case
from tests.reports.wire.runs import Run
from tests.reports.wire.ways import Way
from tests.support.network.recorded import RecordedNetwork


@dataclass(frozen=True)
class Seen:
    """A run; `proxied`: the connections that the proxy made meanwhile; `reached`: how many the targets took from it."""

    run: Run
    proxied: list[str]
    reached: int

    @property
    def count(self) -> str:
        """How many of the targets' connections the proxy has seen. Others would have come by the wire, and leaked."""
        return f"{len(self.proxied)} of {self.reached}"

    def verdict(self, native: Run) -> str:
        found = self.run.verdict(native)
        return "unseen" if found == "ok" and not len(self.proxied) == self.reached > 0 else found

    @property
    def story(self) -> str:
        return f"the proxy connected to {', '.join(self.proxied) or 'nobody'}; {self.run.story}"


def see(network: RecordedNetwork, way: Way, program: Program) -> Seen:
    """Runs the program in this way."""
    if program.older:
        way = replace(way, environment={**way.environment, "PYTHONPATH": str(OLDER)})
    before = len(network.connected())
    network.reached()
    run = runs.run(network, way, Case(program.command))
    proxied = network.connected()[before:]
    # What servers say to one another on ports of their own is left out.
    ports = {*program.server.ports, *(int(address.rpartition(":")[2]) for address in proxied)}
    return Seen(run, proxied, sum(packet.port in ports for packet in network.reached()))
