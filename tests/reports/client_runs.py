"""One run of a client in the recorded network: its exit status, its output and its packets."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.reports.launchers import Launcher
from tests.support.network.addresses import PROXIES
from tests.support.network.packets import Packet
from tests.support.network.recorded import RecordedNetwork
from tests.support.paths import PROGRAMS

# This word of a command stands for the file of the authority that signed the TLS targets' certificate.
AUTHORITY = "AUTHORITY"
SECONDS = 30.0
# The output of a client that gave up after a timeout of its own. Nothing had refused its connection.
GAVE_UP = ("refused: TimeoutError", "refused: TooSlowError", "refused: LifetimeTimeout")


@dataclass(frozen=True)
class Run:
    """`status` is None for a client that was still running after `SECONDS`."""

    status: int | None
    output: str
    errors: str
    packets: list[Packet]

    @property
    def leaked(self) -> list[Packet]:
        """The packets that went neither to the proxy nor to the machine itself."""
        return leaked(self.packets)

    @property
    def kinds(self) -> set[str]:
        return {packet.kind for packet in self.leaked}

    @property
    def story(self) -> str:
        """A description of the run for the message of a failed test."""
        leaks = "; ".join(sorted({str(packet) for packet in self.leaked}))
        return f"status {self.status}, leaked: {leaks or 'nothing'}\n{self.output}\n{self.errors}"

    def verdict(self, native: Run) -> str:
        """Return the result in a word or two, by comparison with the same client's native run. Leaks come first."""
        if self.leaked:
            return f"LEAKS {' '.join(sorted(self.kinds))}"
        if self.status != 0 or self.output in GAVE_UP:
            return "breaks"
        if self.output.startswith("refused:"):
            return "refused"
        return "ok" if self.output == native.output else "differs"


def leaked(packets: Iterable[Packet]) -> list[Packet]:
    """Return the packets that went neither to the proxy nor to the machine itself."""
    return [packet for packet in packets if not _may_leave(packet)]


def emphasized(verdict: str) -> str:
    """Return the verdict as Markdown: a leak is bold."""
    return f"**{verdict}**" if verdict.startswith("LEAKS") else verdict


def run(network: RecordedNetwork, launcher: Launcher, command: str, imported_early: bool = False) -> Run:
    """Run a client in a namespace of its own.

    `command` is the name of a program of tests/programs and its arguments. A client that is `imported_early` has a
    main(), which is called after the patch; everything is imported before.
    """
    program, *arguments = command.split()
    arguments = [str(network.certificates.authority) if word == AUTHORITY else word for word in arguments]
    words = launcher.command(str(PROGRAMS / f"{program}.py"), arguments, imported_early)
    with network.client() as client:
        status, output, errors = _finish(client.command(*words), launcher.environment)
        return Run(status, output, errors, client.packets())


def _finish(words: list[str], environment: Mapping[str, str]) -> tuple[int | None, str, str]:
    try:
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return None, "", f"not done after {SECONDS:.0f} s"
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def _may_leave(packet: Packet) -> bool:
    # When a program connects to ::1 from another address of the machine, Linux puts the answer on the wire.
    return packet.target == "::1" or (packet.protocol == "tcp" and (packet.target, packet.port) in PROXIES)
