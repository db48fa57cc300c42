"""The live sessions, as the Unix sockets report them."""

from __future__ import annotations

import json
import socket
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from socksify.server.cli import main
from socksify.server.operation import status
from tests.support.running_sockd import ask, sockd
from tests.support.targets import Target
from tests.unit.server import client


def test_sessions_are_told_while_they_live(tmp_path: Path, echo_server: Target) -> None:
    directory = str(tmp_path / "new")
    with sockd("--status-directory", directory) as server:
        with server.connect() as stream:
            assert client.ask(stream, 5, *echo_server.address) == 0
            stream.sendall(b"12345")
            assert stream.recv(5) == b"12345"
            told = ask("--status", "--status-directory", directory)
            [process] = json.loads(ask("--status", "json", "--status-directory", directory).stdout)
        server.line("done")
        after = ask("--status", "--status-directory", directory)
    host, port = server.address
    head, line = told.stdout.splitlines()
    assert head == f"sockd[{server.process.pid}] on {host}:{port}: 1 live of 1 accepted"
    assert f" connect 127.0.0.1:{echo_server.port}: relaying, 5 bytes up, 5 down, " in line
    assert process["listening"] == [f"{host}:{port}"]
    [session] = process["sessions"]
    assert (session["target"], session["up"]) == (f"127.0.0.1:{echo_server.port}", 5)
    assert after.stdout == f"sockd[{server.process.pid}] on {host}:{port}: 0 live of 1 accepted\n"


def test_it_is_for_the_same_user_alone_and_leaves_nothing(tmp_path: Path) -> None:
    directory = tmp_path / "new"
    with sockd("--status-directory", str(directory)) as server:
        ask("--status", "--status-directory", str(directory))
        # A question before the socket exists finds no server. So the next line waits for the socket.
        server.process.send_signal(1)
        server.line("read again")
        [path] = directory.iterdir()
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert path.name == f"{server.process.pid}.sock"
    assert [*directory.iterdir()] == []


def test_several_servers_are_told_in_one_place(tmp_path: Path) -> None:
    with sockd(RUNTIME_DIRECTORY=str(tmp_path)) as one, sockd(RUNTIME_DIRECTORY=f"{tmp_path}:/else") as other:
        for server in (one, other):
            server.process.send_signal(1)
            server.line("read again")
        told = ask("--status", RUNTIME_DIRECTORY=str(tmp_path)).stdout
    assert {line.split()[0] for line in told.splitlines()} == {
        f"sockd[{server.process.pid}]" for server in (one, other)
    }


def test_what_killed_ones_left_is_passed_over_and_swept(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as gone:
        pass
    for name in (f"{gone.pid}.sock", "other.sock", "1.sock"):
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(tmp_path / name))
    with sockd("--status-directory", str(tmp_path)) as server:
        server.process.send_signal(1)
        server.line("read again")
        assert {path.name for path in tmp_path.iterdir()} == {f"{server.process.pid}.sock", "other.sock", "1.sock"}
        assert ask("--status", "--status-directory", str(tmp_path)).stdout.count("\n") == 1


def test_one_that_does_not_answer_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(status, "ASK_SECONDS", 1.0)
    with socket.socket(socket.AF_UNIX) as stopped, sockd("--status-directory", str(tmp_path)) as server:
        stopped.bind(str(tmp_path / "1.sock"))
        stopped.listen()
        server.process.send_signal(1)
        server.line("read again")
        assert main(["--status", "--status-directory", str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert f"sockd[{server.process.pid}] on " in told.out
    assert told.err == "sockd: no answer from sockd[1]\n"


@pytest.mark.parametrize("answer", [b"", b'{"pid": 1, "listening": ["127', b'{"pid": 1}\n{"number": 1, "cli'])
def test_one_that_ends_in_the_middle_of_its_answer_hides_no_other(
    answer: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket(socket.AF_UNIX) as ending, sockd("--status-directory", str(tmp_path)) as server:
        ending.bind(str(tmp_path / "1.sock"))
        ending.listen()
        server.process.send_signal(1)
        server.line("read again")
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(main, ["--status", "--status-directory", str(tmp_path)])
            asker, _ = ending.accept()
            asker.sendall(answer)
            asker.close()
            assert asked.result(10) == 0
    told = capsys.readouterr()
    assert [line.partition(" on ")[0] for line in told.out.splitlines()] == [f"sockd[{server.process.pid}]"]
    assert told.err == ""


def test_a_directory_that_cannot_be_had_does_not_keep_it_from_serving(echo_server: Target) -> None:
    with sockd("--status-directory", "/dev/null/none") as server:
        assert "Not a directory" in server.line("will not be told in /dev/null/none")
        with server.connect() as stream:
            assert client.ask(stream, 5, *echo_server.address) == 0


def test_nobody_there_is_told(tmp_path: Path) -> None:
    told = ask("--status", "--status-directory", str(tmp_path))
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == f"sockd: no server tells its sessions in {tmp_path}\n"


def test_no_directory_is_told(tmp_path: Path) -> None:
    told = ask("--status", "--status-directory", str(tmp_path / "none"))
    assert told.returncode == 2
    assert "No such file or directory" in told.stderr
    assert "Traceback" not in told.stderr
