"""What starts the servers: a missing program is loud, a stubborn one ends all the same."""

from __future__ import annotations

import contextlib
import subprocess
import sys

import pytest

from tests.support import processes


@pytest.mark.parametrize(("ci", "outcome"), [("true", "failed"), ("", "skipped")])
def test_a_missing_binary_is_a_failure_under_ci(ci: str, outcome: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", ci)
    expected = {"failed": pytest.fail.Exception, "skipped": pytest.skip.Exception}[outcome]
    with pytest.raises(expected, match="no-such-program is not installed"):
        processes.require("no-such-program")


def test_a_stubborn_process_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "STOP_SECONDS", 0.1)
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", stubborn], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        processes.end(process)
    assert process.returncode == -9


def test_processes_are_told_of_different_ports() -> None:
    """Whoever is told of a port that another process was told of may talk to that one's server."""
    program = (
        "from tests.support.processes import free_port\nprint(*(free_port() for _ in range(200)), flush=True)\ninput()"
    )
    with contextlib.ExitStack() as stack:
        told = []
        for _ in range(4):
            argv = [sys.executable, "-c", program]
            process = stack.enter_context(subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            stack.callback(process.kill)
            assert process.stdout is not None
            told.append(process.stdout.readline().split())
    ports = [port for ports in told for port in ports]
    assert len(set(ports)) == len(ports) == 800
