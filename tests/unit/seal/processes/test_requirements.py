"""The reason why a seal cannot be had, from the call that has failed and from the state of the system."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from socksify.seal.errors import SealUnavailableError
from socksify.seal.processes import requirements
from socksify.seal.processes.requirements import explain


def failed(call: str, number: int) -> str:
    """What the user is told about a call that has failed."""
    return str(explain(OSError(number, f"{call}: {os.strerror(number)}")))


@pytest.fixture
def scope(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file with Yama's scope. It does not exist yet."""
    path = tmp_path / "ptrace_scope"
    monkeypatch.setattr(requirements, "_YAMA", str(path))
    monkeypatch.setattr(requirements, "is_filtered", lambda: False)
    return path


@pytest.mark.parametrize("call", ["pidfd_getfd", "process_vm_readv", "pidfd_open"])
def test_yama_that_nobody_can_satisfy(call: str, scope: Path) -> None:
    scope.write_text("3\n")
    assert failed(call, errno.EPERM) == (
        f"{call}: Operation not permitted: {scope} is 3, so nobody may look into another process. Set it to 1, which"
        " needs a reboot."
    )


def test_yama_that_root_can_satisfy(scope: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scope.write_text("2\n")
    monkeypatch.setattr(requirements, "own_field", lambda _: "00000000a80425fb")
    assert failed("pidfd_getfd", errno.EPERM) == (
        f"pidfd_getfd: Operation not permitted: {scope} is 2, so only root may look into other processes. Run as root,"
        " or set it to 1."
    )
    # CAP_SYS_PTRACE
    monkeypatch.setattr(requirements, "own_field", lambda _: "0000000000080000")
    assert "ptrace_scope" not in failed("pidfd_getfd", errno.EPERM)


@pytest.mark.parametrize("content", [None, "", "0\n", "1\n", "none\n"])
def test_yama_is_not_to_blame(content: str | None, scope: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if content is not None:
        scope.write_text(content)
    told = failed("pidfd_getfd", errno.EPERM)
    assert told == "pidfd_getfd: Operation not permitted: this process may not look into its children."
    monkeypatch.setattr(requirements, "is_filtered", lambda: True)
    assert "the seccomp profile of a container" in failed("pidfd_getfd", errno.EPERM)


def test_an_error_without_a_known_reason_is_the_kernels() -> None:
    assert failed("pidfd_getfd", errno.EMFILE) == "pidfd_getfd: Too many open files"
    assert failed("seccomp", errno.ENOMEM) == "seccomp: Cannot allocate memory"
    assert failed("ioctl", errno.EMFILE) == "ioctl: Too many open files"
    assert failed("fork", errno.EAGAIN) == "fork: Resource temporarily unavailable"
    assert str(explain(OSError(errno.EAGAIN, "Try again"))) == "Try again"
    assert str(explain(ImportError("no such module"))) == "ImportError: no such module"


def test_an_explanation_stays_as_it_is() -> None:
    error = SealUnavailableError("for a reason")
    assert explain(error) is error
