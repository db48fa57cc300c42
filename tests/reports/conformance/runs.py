"""One of CPython's test modules, run in one way, and what became of each of its tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from tests.reports.conformance import modules

RECORDING = Path(__file__).with_name("recording.py")
# A test that takes longer hangs; a module that takes longer, or in which more tests hang, is given up.
TEST_SECONDS, MODULE_SECONDS, HANGING = 45.0, 400.0, 5
# From good to bad. What is altered left threads or children behind, `-m test` says.
VERDICTS = ("ok", "skipped", "altered", "failed", "hung")
LOOPBACK = ("127.0.0.0/8=proxy", "::1=proxy", "localhost=proxy")


@dataclass(frozen=True)
class Outcome:
    """What became of a test, and what it said of it."""

    verdict: str
    told: str = ""

    @property
    def badness(self) -> int:
        return VERDICTS.index(self.verdict)

    @property
    def is_bad(self) -> bool:
        return self.verdict not in ("ok", "skipped")


Outcomes = dict[str, Outcome]
NATIVELY = (sys.executable,)


def through(proxy: str) -> tuple[str, ...]:
    """The words that run a script with everything on loopback routed through a proxy, which is asked for no UDP."""
    routes = [word for route in LOOPBACK for word in ("--route", route)]
    return (sys.executable, "-m", "socksify", "--proxy", proxy, *routes, "--udp", "direct")


def run(way: Sequence[str], module: str, tests: Sequence[str] = ()) -> Outcomes:
    """Runs a module by `way`, the words in front of a script; all its tests, or `tests`. By test id."""
    outcomes: Outcomes = {}
    until = monotonic() + MODULE_SECONDS
    for _ in range(1 + HANGING):
        names = [*tests, *(f"-{name}" for name in outcomes)]
        running, told = _run_once(way, module, names, outcomes, until - monotonic())
        if running is None:
            return outcomes
        outcomes[running] = Outcome("hung", told)
        if running == f"test.{module}" or monotonic() > until:
            return outcomes
    outcomes[f"test.{module}"] = Outcome("hung", "given up: too many of its tests hung")
    return outcomes


def _run_once(
    way: Sequence[str], module: str, names: Sequence[str], outcomes: Outcomes, seconds: float
) -> tuple[str | None, str]:
    """Adds outcomes; the test during which the process ended (the module between two of them), and what it wrote.

    None in the place of the test if the process came to its end.
    """
    with tempfile.TemporaryDirectory(prefix="socksify-conformance-") as directory:
        output, working = Path(directory, "outcomes"), Path(directory, "working")
        output.touch()
        working.mkdir()
        words = [*way, str(RECORDING), str(output), f"test.{module}", str(TEST_SECONDS), modules.resources(module)]
        said = _finish([*words, *names], working, seconds)
        return _read(output, module, outcomes), said


def _finish(words: Sequence[str], working: Path, seconds: float) -> str:
    """Runs a command to its end, at the longest for some seconds; what it wrote last."""
    environment = {**os.environ, "TMPDIR": str(working)}
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            words, cwd=working, env=environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=said, stderr=said,
        )  # fmt: skip
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        finally:
            _end_group(process)
        said.seek(0)
        return said.read().decode(errors="replace")[-8000:]


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and what it has left behind."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def _read(output: Path, module: str, outcomes: Outcomes) -> str | None:
    running: str | None = f"test.{module}"
    for line in output.read_text().splitlines():
        name, verdict, told = json.loads(line)
        if verdict == "ended":
            return None
        if verdict == "began":
            running = name
        else:
            running = f"test.{module}"
            outcomes[name] = Outcome(verdict, told)
    return running
