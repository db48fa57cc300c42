"""sockd as a user starts it: a process with options, variables, signals and an exit status."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import socket
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.paths import ROOT
from tests.support.processes import free_port
from tests.support.running_sockd import PROGRAM, ask, environment, sockd
from tests.support.streams import receive
from tests.support.targets import Target
from tests.unit.server import client
from tests.unit.server.sockd_runs import RULES, serve_one


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:0"])
def test_it_serves_and_says_so(listen: str, echo_server: Target) -> None:
    with sockd("--listen", listen) as server:
        serve_one(server, echo_server)
        line = server.line("connect")
    assert re.match(rf"\d{{4}}-\d\d-\d\dT[\d:.]+Z sockd\[{server.process.pid}\]: ", line)
    assert f" connect 127.0.0.1:{echo_server.port}: done, 0 bytes up, 0 down, " in line


def test_it_listens_on_all_that_is_said(echo_server: Target) -> None:
    with sockd("--listen", "127.0.0.1:0", "--listen", "[::1]:0", "--listen", "127.0.0.2:0") as server:
        assert [host for host, _ in server.addresses] == ["127.0.0.1", "::1", "127.0.0.2"]
        for address in server.addresses:
            with socket.create_connection(address, timeout=10) as stream:
                assert client.ask(stream, 4, *echo_server.address) == 0


def test_lines_may_be_objects(echo_server: Target) -> None:
    with sockd("--log-format", "json") as server:
        serve_one(server, echo_server)
        told = json.loads(server.line('"session"'))
    assert (told["command"], told["outcome"], told["pid"]) == ("connect", "done", server.process.pid)
    assert told["target"] == f"127.0.0.1:{echo_server.port}"


def test_lines_may_go_to_syslog(tmp_path: Path, echo_server: Target) -> None:
    path = str(tmp_path / "log")
    port = free_port()
    words = [*PROGRAM, "--listen", f"127.0.0.1:{port}", "--log", f"syslog:{path}"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(path)
        daemon.settimeout(10)
        with processes.running(words, "sockd", ("127.0.0.1", port), tmp_path / "stderr"):
            assert b"listening on" in daemon.recv(1024)
            with socket.create_connection(("127.0.0.1", port), timeout=10) as stream:
                assert client.ask(stream, 5, *echo_server.address) == 0
            lines = b""
            while b" connect " not in lines:
                lines = daemon.recv(1024)
    assert lines.startswith(b"<30>")
    assert (tmp_path / "stderr").read_text() == ""


@pytest.mark.parametrize("log", ["/dev/full", "a pipe that nobody reads", "a pipe without a reader"])
def test_a_log_that_cannot_be_written_fails_no_session(log: str, echo_server: Target) -> None:
    port = free_port()
    reader, writer = (-1, os.open(log, os.O_WRONLY)) if log.startswith("/") else os.pipe()
    if log == "a pipe without a reader":
        os.close(reader)
        reader = -1
    elif reader >= 0:
        os.set_blocking(writer, False)
        with contextlib.suppress(BlockingIOError):
            for _ in range(1_000):
                os.write(writer, b"x" * 4096)
        os.set_blocking(writer, True)
    words = [*PROGRAM, "--listen", f"127.0.0.1:{port}"]
    with subprocess.Popen(words, stderr=writer, cwd=ROOT, env=environment({})) as process:
        try:
            assert processes._listens(process, ("127.0.0.1", port))
            for _ in range(20):
                with socket.create_connection(("127.0.0.1", port), timeout=10) as stream:
                    assert client.ask(stream, 5, *echo_server.address) == 0
                    stream.sendall(b"x")
                    assert receive(stream, 1) == b"x"
        finally:
            processes.end(process)
        assert process.returncode == 0
    os.close(writer)
    if reader >= 0:
        os.close(reader)


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_what_was_started_without_standard_descriptors_gives_their_numbers_to_nothing_else(
    closed: str, echo_server: Target
) -> None:
    """Otherwise lines of the log could be written into a socket that has the number 2."""
    port = free_port()
    words = ["sh", "-c", f'exec "$@" {closed}', "sh", *PROGRAM, "--listen", f"127.0.0.1:{port}"]
    with subprocess.Popen(words, cwd=ROOT, env=environment({})) as process:
        try:
            assert processes._listens(process, ("127.0.0.1", port))
            with socket.create_connection(("127.0.0.1", port), timeout=10) as stream:
                assert client.ask(stream, 5, *echo_server.address) == 0
            assert os.readlink(f"/proc/{process.pid}/fd/2") == os.devnull
        finally:
            processes.end(process)


def test_metrics_are_told(echo_server: Target) -> None:
    port = free_port()
    with sockd("--metrics", f"127.0.0.1:{port}") as server:
        serve_one(server, echo_server)
        server.line("done")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
            text = response.read().decode()
    assert 'sockd_sessions_total{command="connect",outcome="done"} 1\n' in text
    assert "sockd_serving_processes 1\n" in text


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--listen", "0.0.0.0:0"], "0.0.0.0 is not a loopback address"),
        (["--listen", "0.0.0.0:0", "--workers", "2"], "0.0.0.0 is not a loopback address"),
        (["--listen", "192.0.2.1:0", "--open"], "Cannot assign requested address: '192.0.2.1:0'"),
        (["--listen", "192.0.2.1:0", "--open", "--workers", "2"], "Cannot assign requested address: '192.0.2.1:0'"),
        (["--users", "/dev/null/none"], "/dev/null/none: Not a directory"),
        (["--config", "/dev/null/none"], "/dev/null/none"),
        (["--check", "/dev/null/none"], "/dev/null/none"),
        (["--metrics", "0.0.0.0:0"], "metrics: 0.0.0.0 is not a loopback address"),
        (["--log", "syslog:/dev/null/none", "--nonsense"], "unrecognized arguments: --nonsense"),
    ],
)
def test_what_cannot_be_run_ends_with_2(options: list[str], reason: str) -> None:
    told = ask(*options)
    assert told.returncode == 2
    assert reason in told.stderr
    assert "Traceback" not in told.stderr


def test_an_address_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = f"127.0.0.1:{listener.getsockname()[1]}"
        told = ask("--listen", place)
    assert (told.returncode, told.stderr) == (2, f"sockd: [Errno 98] Address already in use: '{place}'\n")


@pytest.mark.parametrize("text", ["", "alice\n", ":secret\n", "alice:secret\n"])
def test_a_bad_file_of_users_lets_nobody_in_and_shows_nothing(text: str, tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text(text)
    told = ask("--users", str(users))
    assert told.returncode == 2
    assert str(users) in told.stderr
    assert "secret" not in told.stderr


def test_questions_are_answered(tmp_path: Path) -> None:
    path = tmp_path / "sockd.toml"
    path.write_text(RULES.format(port=80))
    checked = ask("--check", str(path))
    assert checked.returncode == 0
    assert "rules, the first match wins:" in checked.stdout
    assert ask("--version").stdout.startswith("sockd 0.")
    tested = ask("--config", str(path), "--test", "127.0.0.1", "example.com:80")
    assert tested.returncode == 0
    assert "permit" in tested.stdout


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_answers_are_printed_whatever_stdout_can_print(encoding: str, tmp_path: Path) -> None:
    """Lists of users may have another encoding than UTF-8, and so may terminals."""
    classic, toml = tmp_path / "sockd.conf", tmp_path / "sockd.toml"
    classic.write_bytes(b"permit *=\xe9ve 10.0.0.0 255.0.0.0\n")
    toml.write_text('[[rules]]\naction = "permit"\nto = "\u540d.example"\n')
    for path, told in ((classic, "permit *=\\udce9ve 10.0.0.0"), (toml, ".example")):
        answer = ask("--check", str(path), PYTHONIOENCODING=f"{encoding}:strict")
        assert (answer.returncode, answer.stderr) == (0, "")
        assert told in answer.stdout


@pytest.mark.parametrize("line", ['listen = "0.0.0.0:1080"', 'metrics = "0.0.0.0:9108"'])
def test_a_check_fails_for_what_would_not_be_served(line: str, tmp_path: Path) -> None:
    path = tmp_path / "sockd.toml"
    path.write_text(line)
    told = ask("--check", str(path))
    assert (told.returncode, "0.0.0.0 is not a loopback address" in told.stderr) == (2, True)


def test_it_is_in_nobodys_way() -> None:
    """No limit of the machine is changed, and nothing is left open at the end."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with sockd(PYTHONDEVMODE="1") as server:
        server.process.terminate()
        said = server.end()
    assert "Warning" not in said
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


@pytest.mark.parametrize(
    ("rules", "client", "destination", "status"),
    [
        ("action = 'deny'", "127.0.0.1", "example.com:80", 1),
        ("action = 'permit'\nto = '192.0.2.0/24'", "198.51.100.7", "192.0.2.1:80", 0),
        ("action = 'permit'\nto = '192.0.2.0/24'", "198.51.100.7", "192.0.3.1:80", 1),
        ("action = 'permit'\nto = '192.0.2.0/24'", "198.51.100.7", "example.com:80", 0),
        ("action = 'permit'\ncommands = ['bind']", "198.51.100.7", "192.0.2.1:80", 0),
        ("action = 'permit'\nfrom = '192.0.2.0/24'", "198.51.100.7", "192.0.2.1:80", 1),
    ],
)
def test_the_status_tells_whether_it_is_permitted(
    rules: str, client: str, destination: str, status: int, tmp_path: Path
) -> None:
    path = tmp_path / "sockd.toml"
    path.write_text(f"[[rules]]\n{rules}\n")
    told = ask("--config", str(path), "--test", client, destination)
    assert (told.returncode, told.stderr) == (status, ""), told.stdout
