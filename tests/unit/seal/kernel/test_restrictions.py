"""The installation of filters in child processes: the listener, what privileges it takes, and how it fails."""

from __future__ import annotations

import errno
import os
import resource
import select
import signal
import socket
from pathlib import Path

import pytest

from socksify.seal.kernel import restrictions, system_calls
from socksify.seal.kernel.filter import filter_program
from tests.support.forks import exit_status, run_in_child
from tests.support.network.namespaces import needs_root

NOBODY = 65534
SECONDS = 10.0


def sealing() -> bytes:
    return filter_program(system_calls.here(), pooled=True)


def status(name: str) -> str:
    """A line of this process's status."""
    lines = dict(line.split(":\t") for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    return lines[name]


def become_nobody() -> None:
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def refused(call: str, error: int, program: bytes) -> bool:
    try:
        restrictions.install_filter(program)
    except OSError as found:
        return found.errno == error and str(found).startswith(f"[Errno {error}] {call}: ")
    return False


def test_the_listener_is_closed_on_exec() -> None:
    assert run_in_child(lambda: not os.get_inheritable(restrictions.install_filter(sealing()))) == 0


def test_root_needs_no_further_promise() -> None:
    needs_root()

    def child() -> bool:
        restrictions.install_filter(sealing())
        return status("NoNewPrivs") == "0" and status("Seccomp") == "2"

    assert run_in_child(child) == 0


def test_anybody_else_gives_up_new_privileges() -> None:
    needs_root()

    def child() -> bool:
        become_nobody()
        restrictions.install_filter(sealing())
        return status("NoNewPrivs") == "1" and status("Seccomp") == "2"

    assert run_in_child(child) == 0


@pytest.mark.parametrize("error", [errno.EACCES, errno.EPERM])
def test_a_restriction_is_tried_again_without_new_privileges(monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    calls: list[object] = []

    def restriction() -> int:
        calls.append("restriction")
        if len(calls) == 1:
            raise OSError(error, "seccomp: refused")
        return 5

    monkeypatch.setattr(restrictions, "system_call", lambda *arguments: calls.append(arguments))
    assert restrictions._restrict(restriction) == 5
    assert calls == ["restriction", ("prctl", system_calls.here().numbers["prctl"], 38, 1), "restriction"]


def test_there_is_one_listener() -> None:
    def child() -> bool:
        restrictions.install_filter(sealing())
        return refused("seccomp", errno.EBUSY, sealing())

    assert run_in_child(child) == 0


def test_a_program_that_is_none_is_refused() -> None:
    assert run_in_child(lambda: refused("seccomp", errno.EINVAL, b"")) == 0
    assert run_in_child(lambda: refused("seccomp", errno.EINVAL, bytes(8))) == 0


def test_calls_of_another_architecture_end_the_process() -> None:
    here = system_calls.here()
    other = system_calls.AARCH64 if here is system_calls.X86_64 else system_calls.X86_64

    def child() -> bool:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        restrictions.install_filter(filter_program(other, pooled=True))
        return True

    assert run_in_child(child) == -signal.SIGSYS


def test_a_notified_call_waits_and_fails_when_nobody_listens() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        pid = os.fork()
        if pid == 0:
            os._exit(errno_of_connect(theirs))
        _, (listener,), *_ = socket.recv_fds(ours, 1, 1)
        try:
            assert select.select([listener], [], [], SECONDS)[0], "the call was not notified"
        finally:
            os.close(listener)
            status = exit_status(pid)
    assert status == errno.ENOSYS


def errno_of_connect(theirs: socket.socket) -> int:
    """Put this process under a filter that notifies connect(2), send the listener, and connect."""
    listener = restrictions.install_filter(sealing())
    socket.send_fds(theirs, [b"x"], [listener])
    os.close(listener)
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", 9))
