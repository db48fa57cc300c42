"""What /proc tells of processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from socksify.seal.processes.process_status import descends_from, is_filtered, is_stopped, own_field
from tests.support.terminals import soon


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    """A child with a child of its own, whose number it tells. The name of the program is hard to read."""
    program = (
        "import os, subprocess, sys; open('/proc/self/comm', 'w').write(') R 1 (');"
        " p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); sys.stdin.read(); p.kill(); p.wait()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.send_signal(signal.SIGCONT)
        process.communicate("")


def test_a_child_descends_from_its_ancestors(child: subprocess.Popen[str]) -> None:
    assert child.stdout is not None
    grandchild = int(child.stdout.readline())
    assert descends_from(grandchild, (grandchild,))
    assert descends_from(grandchild, (child.pid,))
    assert descends_from(grandchild, (7_000_000, os.getpid()))
    assert not descends_from(child.pid, (grandchild,))
    assert not descends_from(grandchild, (7_000_000,))
    assert not descends_from(0, (child.pid,))
    assert not descends_from(7_000_000, (child.pid,))


def test_a_stopped_process_is_told_from_others(child: subprocess.Popen[str]) -> None:
    assert child.stdout is not None
    child.stdout.readline()
    assert not is_stopped(child.pid)
    child.send_signal(signal.SIGSTOP)
    soon(lambda: is_stopped(child.pid), "it does not stop")
    assert not is_stopped(7_000_000)


def test_the_own_fields_are_read() -> None:
    assert own_field("Pid") == str(os.getpid())
    assert own_field("PPid") == str(os.getppid())
    assert own_field("no such field") == ""
    assert is_filtered() == (own_field("Seccomp") == "2")
