"""One client, run in one way, and what came of it: on its output, and on the wire."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from tests.reports.wire.matrix import AUTHORITY, Case
from tests.reports.wire.ways import Way
from tests.support.network.addresses import PROXIES
from tests.support.network.packets import Packet
from tests.support.network.recorded import RecordedNetwork
from tests.support.paths import PROGRAMS

SECONDS = 30.0
# What a client says that has given up by itself: nobody told it anything.
GAVE_UP = ("refused: TimeoutError", "refused: TooSlowError", "refused: LifetimeTimeout")


@dataclass(frozen=True)
class Run:
    """`status` is None for a client that did not come to an end."""

    status: int | None
    output: str
    errors: str
    packets: list[Packet]

    @property
    def leaked(self) -> list[Packet]:
        """All but what went to the proxy, or to the machine itself."""
        return [packet for packet in self.packets if not _may_leave(packet)]

    @property
    def kinds(self) -> set[str]:
        return {packet.kind for packet in self.leaked}

    @property
    def story(self) -> str:
        """For whoever has to find out."""
        leaks = "; ".join(sorted({str(packet) for packet in self.leaked}))
        return f"status {self.status}, leaked: {leaks or 'nothing'}\n{self.output}\n{self.errors}"

    def verdict(self, native: Run) -> str:
        """In a word or two, beside the same client's native run: a leak outweighs all else."""
        if self.leaked:
            return f"LEAKS {' '.join(sorted(self.kinds))}"
        if self.status != 0 or self.output in GAVE_UP:
            return "breaks"
        if self.output.startswith("refused:"):
            return "refused"
        return "ok" if self.output == native.output else "differs"


def run(network: RecordedNetwork, way: Way, case: Case) -> Run:
    """Runs a client in a namespace of its own."""
    arguments = [str(network.certificates.authority) if word == AUTHORITY else word for word in case.arguments]
    words = way.command(str(PROGRAMS / f"{case.program}.py"), arguments, early=case.early)
    with network.client() as client:
        status, output, errors = _finish(client.command(*words), dict(way.environment))
        return Run(status, output, errors, client.packets())


def _finish(words: list[str], environment: dict[str, str]) -> tuple[int | None, str, str]:
    try:
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return None, "", f"not done after {SECONDS:.0f} s"
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def _may_leave(packet: Packet) -> bool:
    # Linux puts on the wire what another of the machine's own addresses answers to ::1.
    return packet.target == "::1" or (packet.protocol == "tcp" and (packet.target, packet.port) in PROXIES)
