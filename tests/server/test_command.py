"""sockd as a user starts it: a process with options, variables, signals and an exit status."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from socksify.server import command
from tests.processes import end
from tests.server import client
from tests.streams import receive
from tests.targets import Target

PROGRAM = [sys.executable, "-c", "import sys; from socksify.server.command import main; sys.exit(main())"]


@contextmanager
def sockd(*options: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], tuple[str, int]]]:
    environment = {**os.environ, **variables}
    with subprocess.Popen([*PROGRAM, *options], stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert line.startswith("sockd: listening on "), line + process.stderr.read()
            host, _, port = line.split()[-1].rpartition(":")
            yield process, (host.strip("[]"), int(port))
        finally:
            end(process)


def authenticate(address: tuple[str, int], user: bytes, password: bytes) -> bytes:
    with socket.create_connection(address, timeout=10) as stream:
        stream.sendall(b"\x05\x01\x02")
        assert receive(stream, 2) == b"\x05\x02"
        stream.sendall(client.credentials(user, password))
        return receive(stream, 2)


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:0"])
def test_it_serves_and_says_so(listen: str, echo_server: Target) -> None:
    with sockd("--listen", listen) as (process, address):
        with socket.create_connection(address, timeout=10) as stream:
            assert client.ask(stream, 5, *echo_server.address) == 0
        assert process.stderr is not None
        line = process.stderr.readline()
    assert line.startswith("sockd: ")
    assert f" connect 127.0.0.1:{echo_server.port}: done, 0 bytes up, 0 down" in line


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_its_sessions(number: signal.Signals, echo_server: Target) -> None:
    with sockd("--listen", "127.0.0.1:0") as (process, address):
        with socket.create_connection(address, timeout=10) as stream:
            assert client.ask(stream, 5, *echo_server.address) == 0
            process.send_signal(number)
            assert process.wait(10) == 0
        assert process.stderr is not None
        assert "the server ends" in process.stderr.read()


def test_users_come_from_a_file(tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text("# who may\n\nalice:open sesame\nbob:a:b\n")
    with sockd("--listen", "127.0.0.1:0", "--users", str(users)) as (_, address):
        assert authenticate(address, b"alice", b"open sesame") == b"\x01\x00"
        assert authenticate(address, b"bob", b"a:b") == b"\x01\x00"
        assert authenticate(address, b"bob", b"open sesame") == b"\x01\x01"
        assert authenticate(address, b"carol", b"x") == b"\x01\x01"


def test_an_unknown_user_has_no_empty_password() -> None:
    """RFC 1929 has no empty passwords, but nobody who verifies should have to rely on it."""
    verify = command._verifier({b"alice": b"secret"})
    assert verify(b"alice", b"secret")
    assert not verify(b"carol", b"")


def test_a_user_comes_from_the_environment() -> None:
    with sockd("--listen", "127.0.0.1:0", SOCKD_USER="alice", SOCKD_PASSWORD="secret") as (_, address):
        assert authenticate(address, b"alice", b"secret") == b"\x01\x00"
        assert authenticate(address, b"alice", b"wrong") == b"\x01\x01"


@pytest.mark.parametrize(
    ("options", "variables", "reason"),
    [
        (["--listen", "0.0.0.0:1080"], {}, "0.0.0.0 is not a loopback address"),
        (["--listen", "127.0.0.1"], {}, "expected ADDRESS:PORT"),
        (["--listen", "127.0.0.1:65536"], {}, "expected ADDRESS:PORT"),
        (["--listen", "example.com:1080"], {}, "'example.com' does not appear to be an IPv4 or IPv6 address"),
        (["--users", "/nonexistent"], {}, "No such file or directory: '/nonexistent'"),
        ([], {"SOCKD_USER": "alice"}, "SOCKD_USER and SOCKD_PASSWORD go together"),
        (["--nonsense"], {}, "unrecognized arguments: --nonsense"),
    ],
)
def test_usage_errors_end_with_2(options: list[str], variables: dict[str, str], reason: str) -> None:
    environment = {**os.environ, **variables}
    child = subprocess.run([*PROGRAM, *options], capture_output=True, text=True, env=environment, timeout=60)
    assert child.returncode == 2
    assert reason in child.stderr
    assert "Traceback" not in child.stderr


@pytest.mark.parametrize("text", ["", "alice\n", ":secret\n", "alice:\n"])
def test_a_bad_file_of_users_lets_nobody_in_and_shows_nothing(text: str, tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text(text)
    child = subprocess.run([*PROGRAM, "--users", str(users)], capture_output=True, text=True, timeout=60)
    assert child.returncode == 2
    assert "NAME:PASSWORD" in child.stderr
    assert "secret" not in child.stderr
