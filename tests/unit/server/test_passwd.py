"""`sockd passwd`: the file that it writes, and its messages."""

from __future__ import annotations

import contextlib
import os
import pty
import stat
import subprocess
from pathlib import Path

import pytest

from socksify.config.errors import ConfigError
from socksify.server import passwd
from socksify.server.policy.users import Users
from tests.support.paths import ROOT
from tests.support.processes import require
from tests.support.running_sockd import PROGRAM, ask


def test_a_user_can_come_in_afterwards_and_the_password_is_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "users"
    told = ask("passwd", str(path), "alice", stdin="open sesame\n")
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")
    assert "open sesame" not in path.read_text()
    assert Users.load(str(path)).verify(b"alice", b"open sesame")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_everything_else_in_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_text("# who may\n\n")
    path.chmod(0o640)
    for user, password in ((b"alice", b"one"), (b"bob", b"two"), (b"alice", b"three")):
        passwd.write(str(path), user, password)
    assert path.read_text().startswith("# who may\n\nbob:")
    users = Users.load(str(path))
    assert users.verify(b"bob", b"two")
    assert users.verify(b"alice", b"three")
    assert not users.verify(b"alice", b"one")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["users"]


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "users")
    passwd.write(str(tmp_path / "link"), b"alice", b"one")
    assert (tmp_path / "link").is_symlink()
    assert Users.load(str(tmp_path / "users")).verify(b"alice", b"one")


def test_a_name_with_a_colon_is_one_name(tmp_path: Path) -> None:
    path = str(tmp_path / "users")
    for password in (b"one", b"two"):
        passwd.write(path, b"a:b", password)
    assert len(Users.load(path)) == 1


@pytest.mark.parametrize(("user", "password"), [("", "x"), ("#x", "x"), ("x", ""), ("x" * 256, "x"), ("x", "x" * 256)])
def test_what_no_client_could_say_is_refused(user: str, password: str, tmp_path: Path) -> None:
    told = ask("passwd", str(tmp_path / "users"), user, stdin=password + "\n")
    assert told.returncode == 1
    assert told.stderr.startswith("sockd passwd: ")
    assert os.listdir(tmp_path) == []


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = str(tmp_path / "none" / "users")
    told = ask("passwd", path, "alice", stdin="x\n")
    assert (told.returncode, told.stderr) == (1, f"sockd passwd: {path}: No such file or directory\n")


@pytest.mark.parametrize(("key", "status"), [(b"\x04", 1), (b"\x03", 130)])
def test_at_a_terminal_one_may_think_better_of_it(key: bytes, status: int, tmp_path: Path) -> None:
    """Ctrl-D and Ctrl-C."""
    ours, theirs = pty.openpty()
    words = [require("setsid"), "--ctty", *PROGRAM, "passwd", str(tmp_path / "users"), "alice"]
    with subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT) as child:
        os.close(theirs)
        shown = b""
        while b"Password: " not in shown:
            shown += os.read(ours, 1024)
        os.write(ours, key)
        with contextlib.suppress(OSError):
            # EIO: no process has the terminal any more.
            while piece := os.read(ours, 1024):
                shown += piece
        assert child.wait(20) == status
    os.close(ours)
    assert shown.endswith(b"sockd passwd: nothing was changed\r\n")
    assert b"Traceback" not in shown
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("again", "status"), [("open sesame", 0), ("open sesam", 1)])
def test_at_a_terminal_it_asks_twice_and_shows_nothing(again: str, status: int, tmp_path: Path) -> None:
    path = tmp_path / "users"
    ours, theirs = pty.openpty()
    words = [*PROGRAM, "passwd", str(path), "alice"]
    with subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs, cwd=ROOT, start_new_session=True) as child:
        os.close(theirs)
        shown = b""
        for prompt, answer in ((b"Password: ", "open sesame"), (b"Again: ", again)):
            while prompt not in shown:
                shown += os.read(ours, 1024)
            os.write(ours, answer.encode() + b"\n")
        assert child.wait(20) == status
    os.close(ours)
    assert b"sesam" not in shown
    if status == 0:
        assert Users.load(str(path)).verify(b"alice", b"open sesame")
    else:
        with pytest.raises(ConfigError):
            Users.load(str(path))
