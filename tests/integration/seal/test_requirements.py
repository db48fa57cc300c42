"""Where a seal cannot be had, the call that has failed is named, with the reason and what to do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.both import Both
from tests.support.paths import ROOT
from tests.support.processes import require
from tests.support.sealed import SECONDS

pytestmark = pytest.mark.usefixtures("sealed_system")

CONTAINER = (
    "the seccomp profile of a container, or of another sandbox, refuses the call. Start the container with --cap-add"
    " SYS_PTRACE, or with --security-opt seccomp=unconfined."
)
TOO_OLD = "the kernel is too old. Linux 5.14 or later is needed."
# By what the system refuses: the call, the kernel's error, and the reason.
REFUSALS = {
    "listener": (
        "seccomp: Device or resource busy: another program supervises the system calls of this process already: a"
        " seal, another sandbox, or WSL 2 in its mirrored networking. Start the program outside of it; for WSL 2, set"
        " networkingMode=nat."
    ),
    "seccomp=EINVAL": (
        "seccomp: Invalid argument: this kernel supervises no system calls. gVisor cannot do so, nor can Linux before"
        " 5.14."
    ),
    "seccomp=ENOSYS": (
        "seccomp: Function not implemented: this kernel, or an emulator, has no seccomp. Linux 5.14 or later with"
        " CONFIG_SECCOMP_FILTER is needed."
    ),
    "seccomp=EPERM": f"seccomp: Operation not permitted: {CONTAINER}",
    "pidfd_getfd=EPERM": f"pidfd_getfd: Operation not permitted: {CONTAINER}",
    "pidfd_getfd=ENOSYS": (
        "pidfd_getfd: Function not implemented: the kernel has no such call. Linux 5.14 or later is needed."
    ),
    "pidfd_open=EPERM": f"pidfd_open: Operation not permitted: {CONTAINER}",
    "pidfd_open=ENOSYS": (
        "pidfd_open: Function not implemented: the kernel has no such call. Linux 5.14 or later is needed."
    ),
    "process_vm_readv=EPERM": f"process_vm_readv: Operation not permitted: {CONTAINER}",
    # SECCOMP_IOCTL_NOTIF_ADDFD
    "ioctl@40182103=EINVAL": f"ioctl: Invalid argument: {TOO_OLD}",
    "ioctl@40182103=ENOTTY": f"ioctl: Inappropriate ioctl for device: {TOO_OLD}",
    "landlock_restrict_self=EPERM": f"landlock_restrict_self: Operation not permitted: {CONTAINER}",
}
OPTIONS = ("--proxy", "socks5h://127.0.0.1:9")


def under(refusal: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a launcher under the filter of another author."""
    argv = [sys.executable, "-m", "tests.support.outer_filter", refusal, "--", sys.executable, "-m", "socksify"]
    return subprocess.run(
        [*argv, *OPTIONS, *words], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False
    )


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_seal_that_is_asked_for_and_cannot_be_had(refusal: str) -> None:
    refused = under(refusal, "--seal=on", "-c", "print('ran')")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == f"socksify: --seal: {REFUSALS[refusal]}\n"


def test_a_command_that_needs_one() -> None:
    refused = under("pidfd_getfd=EPERM", require("curl"), "http://a.example/")
    assert (refused.returncode, refused.stdout) == (2, "")
    told = f"only a seal can hold its connections to the proxy: {REFUSALS['pidfd_getfd=EPERM']}"
    assert refused.stderr.startswith(f"socksify: {require('curl')}: {told} --allow curl ")
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize("refusal", ["seccomp=EINVAL", "pidfd_getfd=EPERM", "ioctl@40182103=EINVAL"])
def test_strict_does_without(refusal: str) -> None:
    # From version 3.5 on, libffi keeps its own file open. The attempt imports ctypes, so the native program does, too.
    program = "import ctypes, os, socket, sys; print('_socket' in sys.modules, os.listdir('/proc/self/fd'))"
    native, went_on = under(refusal, "-c", program), under(refusal, "--strict", "-c", program)
    assert (went_on.returncode, went_on.stderr) == (0, "")
    # Nothing is left of the attempt.
    assert went_on.stdout == native.stdout


def test_an_attempt_changes_nothing(tmp_path: Path) -> None:
    """The mask, the dispositions, the descriptors and the children of the process are as before."""
    world = (ROOT / "tests/integration/launch/world.py").read_text()
    more = "import os; open(sys.argv[1], 'w').write(open(f'/proc/{os.getpid()}/task/{os.getpid()}/children').read())"
    tmp_path.joinpath("program.py").write_text(f"import ctypes\n{world}\n{more}\n")
    worlds = []
    for options in ([], ["--strict"]):
        done = under("pidfd_getfd=EPERM", *options, str(tmp_path / "program.py"), str(tmp_path / "children"))
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "children").read_text() == ""
        worlds.append(json.loads(done.stdout))
    assert worlds[0] == worlds[1]


def test_a_python_without_ctypes(both: Both) -> None:
    both.write("here/sitecustomize.py", "import sys; sys.modules['ctypes'] = None\n")
    both.environment["PYTHONPATH"] = str(both.directory / "here")
    refused = both.socksify("--seal=on", "-c", "print('ran')")
    assert (refused.returncode, refused.stdout) == (2, b"")
    assert refused.stderr.startswith(b"socksify: --seal: import of ctypes halted")
    assert refused.stderr.endswith(b". The seal needs ctypes. Use a Python that has it.\n")


def test_the_embedded_server(both: Both) -> None:
    refused = both.python("-m", "socksify", "--embedded", "--seal=on", "-c", "print('ran')")
    assert (refused.returncode, refused.stdout) == (2, b"")
    assert refused.stderr.startswith(b"socksify: --seal: --embedded: ")
