"""A program that is no Python is a command: without a seal it is refused, unless nothing of it could go direct."""

from __future__ import annotations

import os
import signal
import stat
import sys
from pathlib import Path

import pytest

from tests.support.both import Both
from tests.support.processes import require

CURL = "#!/bin/sh\necho $0 $*\necho $PYTHONPATH >&2\nexit 3\n"


@pytest.fixture
def on_path(both: Both) -> Path:
    """A directory that is first on PATH."""
    directory = both.directory / "bin"
    directory.mkdir()
    both.environment["PATH"] = f"{directory}:{os.environ['PATH']}"
    return directory


def executable(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def curl(on_path: Path) -> Path:
    """A command that is not known to be harmless."""
    return executable(on_path / "curl", CURL)


@pytest.mark.usefixtures("curl")
def test_a_command_is_refused_without_a_seal(both: Both) -> None:
    refused = both.socksify("--seal", "off", "curl", "http://a.example/")
    assert (refused.returncode, refused.stdout) == (2, b"")
    assert refused.stderr == (
        b"socksify: curl: only a seal can hold its connections to the proxy: --seal is off, and not auto or on."
        b" --allow curl starts it all the same, and its connections go direct.\n"
    )


def test_an_allowed_command_is_executed(both: Both, curl: Path) -> None:
    done = both.socksify("--seal=off", "--allow", "curl", "--no-children", "--", "curl", "--proxy", "its own")
    assert (done.returncode, done.stdout, done.stderr) == (3, f"{curl} --proxy its own\n".encode(), b"\n")


@pytest.mark.usefixtures("curl")
def test_it_gets_the_environment_of_children(both: Both) -> None:
    done = both.socksify("--seal=off", "--allow", "curl", "curl")
    assert b"sitecustomize_template" in done.stderr


def test_what_connects_to_nobody_is_executed(both: Both) -> None:
    done = both.socksify("--seal=off", require("printf"), "%s", "harmless")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"harmless", b"")


def test_a_python_on_path_is_patched(both: Both, on_path: Path) -> None:
    executable(on_path / "tool", f"#!{sys.executable}\nimport socket, sys; print('socksify.patches' in sys.modules)\n")
    done = both.socksify("--seal=off", "tool")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"True\n", b"")


def test_but_not_without_its_settings(both: Both, on_path: Path) -> None:
    executable(on_path / "tool", f"#!{sys.executable}\nprint('ran')\n")
    refused = both.socksify("--seal=off", "--no-children", "tool")
    assert (refused.returncode, refused.stdout) == (2, b"")


def test_a_script_without_a_first_line_is_given_to_the_shell(both: Both, on_path: Path) -> None:
    executable(on_path / "old", "echo $1\n")
    done = both.socksify("--seal=off", "--allow=old", "old", "word")
    assert (done.returncode, done.stdout) == (0, b"word\n")


@pytest.mark.parametrize(
    ("text", "mode", "status", "reason"),
    [
        ("#!/nonexistent/interpreter\n", 0o755, 127, "No such file or directory"),
        ("#!/bin/sh\n", 0o644, 126, "Permission denied"),
    ],
)
def test_a_command_that_cannot_be_executed(both: Both, text: str, mode: int, status: int, reason: str) -> None:
    both.write("prog", text).chmod(mode)
    done = both.socksify("--seal=off", "--allow=prog", "./prog")
    assert (done.returncode, done.stdout, done.stderr) == (status, b"", f"socksify: ./prog: {reason}\n".encode())


def test_a_command_gets_the_signals_of_the_start(both: Both) -> None:
    """Python ignores SIGPIPE and SIGXFSZ. A command that inherited this would not end when its reader does."""
    done = both.socksify("--seal=off", require("grep"), "SigIgn", "/proc/self/status")
    ignored = int(done.stdout.split()[1], 16)
    assert not {number for number in (signal.SIGPIPE, signal.SIGXFSZ) if ignored & 1 << number - 1}


def test_the_embedded_server_cannot_serve_a_command(both: Both) -> None:
    refused = both.python("-m", "socksify", "--embedded", require("printf"), "x")
    assert (refused.returncode, refused.stdout) == (2, b"")
    assert refused.stderr.startswith(b"socksify: --embedded: ")
