"""A shell and its terminal treat a sealed program as any other: its keys, its jobs, and the end of the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.both import Both
from tests.support.paths import ROOT
from tests.support.processes import require
from tests.support.sealed import SEAL
from tests.support.terminals import Terminal, soon, terminal

pytestmark = pytest.mark.usefixtures("sealed_system")

SEALED = f"{sys.executable} -m socksify {' '.join(SEAL)}"
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PS1": "$ "}


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Terminal]:
    """An interactive shell with job control."""
    with terminal(
        [require("bash"), "--norc", "--noediting", "-i"], {**ENVIRONMENT, "HOME": str(tmp_path)}, tmp_path
    ) as shown:
        shown.see("$ ")
        # Only what programs write is seen from now on.
        shown.type("stty -echo\r")
        shown.see("$ ")
        yield shown


def command(shell: Terminal, text: str) -> None:
    shell.type(f"{text}\r")


def write(shell: Terminal, text: str) -> None:
    """Write a line to a `cat` that runs, or will run, and wait until it has written it.

    A stop signal may come while a shell starts a program by vfork(2). Then the shell would not stop.
    """
    command(shell, text)
    shell.see(f"{text}\r\n")


def jobs_become(shell: Terminal, state: str) -> None:
    """Wait until the shell tells that its job is in this state."""
    while state not in shell.text:
        command(shell, "jobs")
        shell.see("$ ")


def test_a_program_reads_the_terminal(shell: Terminal) -> None:
    command(shell, f"{SEALED} cat; echo status $?")
    write(shell, "typed")
    shell.type("\x04")
    shell.see("status 0\r\n")


def test_keys_end_it(shell: Terminal) -> None:
    for key, status in (("\x03", 130), ("\x1c", 131)):
        command(shell, f"{SEALED} sh -c 'echo begun; exec sleep 60'")
        shell.see("begun\r\n")
        shell.type(key)
        shell.see("$ ")
        command(shell, "echo status $?")
        shell.see(f"status {status}\r\n")


def test_a_python_is_interrupted_once(shell: Terminal, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import os, signal\nsignal.signal(2, lambda *_: os.write(1, b'interrupted\\n'))\n"
        "print('begun', flush=True)\nwhile input() != 'end': pass\n"
    )
    command(shell, f"{SEALED} program.py; echo status $?")
    shell.see("begun\r\n")
    shell.type("\x03")
    shell.see("interrupted\r\n")
    shell.type("end\r")
    assert "interrupted" not in shell.see("status 0\r\n")


def test_a_job_is_stopped_and_continued(shell: Terminal) -> None:
    command(shell, f"{SEALED} cat; echo status $?")
    write(shell, "begun")
    for _ in range(3):
        shell.type("\x1a")
        shell.see("Stopped")
        command(shell, "jobs -l; echo shell")
        shell.see("shell\r\n")
        command(shell, "fg; echo status $?")
        write(shell, "typed")
    shell.type("\x04")
    shell.see("status 0\r\n")


def test_a_job_in_the_background_waits_for_the_terminal(shell: Terminal) -> None:
    command(shell, f"{SEALED} sh -c 'echo begun; cat; echo ended' &")
    shell.see("begun\r\n")
    jobs_become(shell, "Stopped")
    command(shell, "fg")
    shell.type("\x04")
    shell.see("ended\r\n")


def test_a_shell_kills_a_stopped_job(shell: Terminal) -> None:
    command(shell, f"{SEALED} cat")
    write(shell, "begun")
    shell.type("\x1a")
    shell.see("Stopped")
    command(shell, "kill %1")
    jobs_become(shell, "Terminated")


def test_a_sealed_shell_has_jobs_of_its_own(shell: Terminal) -> None:
    command(shell, f"PS1='sealed$ ' {SEALED} bash --norc --noediting -i")
    shell.see("sealed$ ")
    command(shell, "cat")
    write(shell, "begun")
    shell.type("\x1a")
    shell.see("Stopped")
    shell.see("sealed$ ")
    command(shell, "fg")
    write(shell, "typed")
    shell.type("\x03")
    shell.see("sealed$ ")
    command(shell, "exit 4")
    shell.see("$ ")
    command(shell, "echo status $?")
    shell.see("status 4\r\n")


def test_a_hangup_reaches_the_program(both: Both) -> None:
    """The launcher leads the session here, and gets the signal alone."""
    program = (
        "import os, signal, sys, time\n"
        "def hang_up(*_):\n    open('hung up', 'w'); os._exit(0)\n"
        "signal.signal(signal.SIGHUP, hang_up)\nprint('begun', flush=True)\nwhile True: time.sleep(60)\n"
    )
    both.write("program.py", program)
    argv = [sys.executable, "-m", "socksify", *SEAL, "program.py"]
    with terminal(argv, ENVIRONMENT, both.directory) as shown:
        shown.see("begun")
        shown.hang_up()
        soon((both.directory / "hung up").exists, "the program does not notice")


def test_a_signal_to_the_launcher_alone_continues_the_program(shell: Terminal, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import os, signal, time\nsignal.signal(signal.SIGCONT, lambda *_: os.write(1, b'continued\\n'))\n"
        "print('begun', flush=True)\nwhile True: time.sleep(60)\n"
    )
    command(shell, f"{SEALED} program.py")
    shell.see("begun\r\n")
    shell.type("\x1a")
    shell.see("Stopped")
    command(shell, "kill -CONT $(jobs -p)")
    shell.see("continued\r\n")
    command(shell, "jobs")
    shell.see("Running")
    command(shell, "kill %1")
    jobs_become(shell, "Terminated")
