"""Nobody gains privileges in a seal that a user without privileges has put on, and commands that would are named."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import require
from tests.support.sealed import SEAL
from tests.support.unprivileged import run_python

pytestmark = pytest.mark.usefixtures("sealed_system")

LAUNCHER = "import sys; from socksify.launch import main; sys.exit(main(sys.argv[1:]))"
NO_NEW_PRIVS = ["grep", "NoNewPrivs", "/proc/self/status"]


@pytest.mark.parametrize(("user", "bit"), [("root", 0), ("nobody", 1)])
def test_the_promise_is_made_where_the_kernel_demands_it(user: str, bit: int) -> None:
    done = run_python(user, LAUNCHER, *SEAL, *NO_NEW_PRIVS)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"NoNewPrivs:\t{bit}\n", "")


@pytest.mark.parametrize("words", [["-c", "raise SystemExit(3)"], ["sh", "-c", "exit 3"]])
def test_a_user_without_privileges_can_seal(words: list[str]) -> None:
    done = run_python("nobody", LAUNCHER, *SEAL, *words)
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")


@pytest.fixture
def setuid() -> Iterator[Path]:
    """A harmless command that would run as root."""
    path = Path("/tmp", f"socksify-test-setuid-{os.getpid()}")
    path.write_bytes(Path(require("true")).read_bytes())
    path.chmod(0o755 | stat.S_ISUID)
    yield path
    path.unlink()


def test_a_command_that_loses_privileges_is_named(setuid: Path) -> None:
    done = run_python("nobody", LAUNCHER, *SEAL, str(setuid))
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == (
        f"socksify: {setuid}: its file gives privileges (setuid, or capabilities), which nobody gains in a seal\n"
    )
    assert run_python("root", LAUNCHER, *SEAL, str(setuid)).stderr == ""
