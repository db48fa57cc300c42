"""sockd as a user starts it: a process with options, variables, signals and an exit status."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import IO

import pytest

from socksify.server import passwd
from tests.support import processes
from tests.support.paths import ROOT
from tests.support.processes import free_port
from tests.support.running_sockd import PROGRAM, Sockd, ask, environment, sockd
from tests.support.streams import receive
from tests.support.targets import Target
from tests.unit.server import client

# Becomes sockd with a socket that somebody else listens on, as systemd would.
ACTIVATED = (
    sys.executable,
    "-c",
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_PID'] = str(os.getpid());"
    "os.execvp(sys.argv[2], sys.argv[2:])",
)


def authenticate(address: tuple[str, int], user: bytes, password: bytes) -> bytes:
    with socket.create_connection(address, timeout=10) as stream:
        stream.sendall(b"\x05\x01\x02")
        assert receive(stream, 2) == b"\x05\x02"
        stream.sendall(client.credentials(user, password))
        return receive(stream, 2)


def serve_one(server: Sockd, target: Target) -> None:
    with server.connect() as stream:
        assert client.ask(stream, 5, *target.address) == 0


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
    """Or the log's lines would be written into a socket, or whatever has the number."""
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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_sessions_end_and_a_second_one_ends_them(number: signal.Signals, echo_server: Target) -> None:
    with sockd() as server, server.connect() as stream:
        assert client.ask(stream, 5, *echo_server.address) == 0
        server.process.send_signal(number)
        assert "1 sessions are live" in server.line("listening no more")
        with pytest.raises(ConnectionRefusedError):
            server.connect()
        stream.sendall(b"still here")
        assert receive(stream, 10) == b"still here"
        server.process.send_signal(number)
        assert "ended" in server.end()
        assert server.process.returncode == 0


def test_it_ends_when_the_last_session_has(echo_server: Target) -> None:
    with sockd() as server:
        with server.connect() as stream:
            assert client.ask(stream, 5, *echo_server.address) == 0
            server.process.terminate()
            server.line("listening no more")
        assert "done" in server.end()
        assert server.process.returncode == 0


def test_without_sessions_it_ends_at_once() -> None:
    with sockd() as server:
        server.process.terminate()
        assert "0 sessions are live" in server.end()
        assert server.process.returncode == 0


RULES = """
[[rules]]
action = "permit"
to = [":{port}"]

[[rules]]
action = "deny"
"""


def test_a_reload_changes_the_rules_and_drops_nobody(tmp_path: Path, echo_server: Target) -> None:
    path = tmp_path / "sockd.toml"
    path.write_text(RULES.format(port=echo_server.port))
    with sockd("--config", str(path)) as server, server.connect() as before:
        assert client.ask(before, 5, *echo_server.address) == 0
        path.write_text(RULES.format(port=1))
        server.process.send_signal(signal.SIGHUP)
        server.line("read again")
        with server.connect() as after:
            assert client.ask(after, 5, *echo_server.address) == 2
        before.sendall(b"still here")
        assert receive(before, 10) == b"still here"
        path.write_text("[[rules]]\naction = 'perhaps'\n")
        server.process.send_signal(signal.SIGHUP)
        assert str(path) in server.line("the configuration is as before")
        with server.connect() as after:
            assert client.ask(after, 5, *echo_server.address) == 2


def test_what_only_a_restart_changes_is_said(tmp_path: Path) -> None:
    path = tmp_path / "sockd.toml"
    path.write_text("")
    with sockd("--config", str(path)) as server:
        path.write_text('log_format = "json"\nworkers = 2\n')
        server.process.send_signal(signal.SIGHUP)
        assert "workers, log_format" in server.line("after a restart only")


def test_a_reload_cannot_open_the_door(tmp_path: Path) -> None:
    path = tmp_path / "sockd.toml"
    path.write_text(RULES.format(port=80))
    with sockd("--listen", "0.0.0.0:0", "--config", str(path)) as server:
        path.write_text("")
        server.process.send_signal(signal.SIGHUP)
        assert "0.0.0.0 is not a loopback address" in server.line("the configuration is as before")


def test_users_come_from_a_file_and_change_with_it(tmp_path: Path) -> None:
    users = tmp_path / "users"
    passwd.write(str(users), b"alice", b"open sesame")
    with sockd("--users", str(users)) as server:
        assert authenticate(server.address, b"alice", b"open sesame") == b"\x01\x00"
        assert authenticate(server.address, b"carol", b"x") == b"\x01\x01"
        passwd.write(str(users), b"alice", b"another")
        server.process.send_signal(signal.SIGHUP)
        server.line("read again")
        assert authenticate(server.address, b"alice", b"another") == b"\x01\x00"
        assert authenticate(server.address, b"alice", b"open sesame") == b"\x01\x01"


def test_metrics_are_told(echo_server: Target) -> None:
    port = free_port()
    with sockd("--metrics", f"127.0.0.1:{port}") as server:
        serve_one(server, echo_server)
        server.line("done")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
            text = response.read().decode()
    assert 'sockd_sessions_total{command="connect",outcome="done"} 1\n' in text
    assert "sockd_serving_processes 1\n" in text


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_socket_that_was_passed_is_served(workers: str, echo_server: Target) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fd = listener.fileno()
        prefix = (*ACTIVATED, str(fd))
        with sockd("--workers", workers, prefix=prefix, pass_fds=(fd,), LISTEN_FDS="1") as server:
            assert server.address == listener.getsockname()
            serve_one(server, echo_server)


@pytest.mark.parametrize("abstract", [False, True])
def test_a_unix_socket_that_was_passed_is_served(abstract: bool, tmp_path: Path, echo_server: Target) -> None:
    path = f"\0socksify-test-{os.getpid()}" if abstract else str(tmp_path / "socks")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as stream:
        listener.bind(path)
        listener.listen()
        fd = listener.fileno()
        words = [*ACTIVATED, str(fd), *PROGRAM]
        variables = environment({"LISTEN_FDS": "1"})
        with subprocess.Popen(
            words, cwd=ROOT, pass_fds=(fd,), env=variables, stderr=subprocess.PIPE, text=True
        ) as child:
            stream.settimeout(20)
            stream.connect(path)
            assert client.ask(stream, 5, *echo_server.address) == 0
            stream.close()
            child.send_signal(signal.SIGHUP)
            child.terminate()
            _, said = child.communicate(timeout=20)
    assert "listening on {}\n".format(path.replace("\0", "@")) in said
    assert "local connect" in said
    assert "the configuration was read again" in said


def test_a_passed_socket_is_guarded_too() -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        fd = listener.fileno()
        words = [*ACTIVATED, str(fd), *PROGRAM]
        child = subprocess.run(
            words, cwd=ROOT, pass_fds=(fd,), env=environment({"LISTEN_FDS": "1"}), capture_output=True, timeout=60
        )
    assert child.returncode == 2
    assert b"0.0.0.0 is not a loopback address" in child.stderr


@pytest.mark.parametrize("kind", ["bound", "connected", "datagrams", "seqpacket", "file"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_is_passed_has_to_be_a_socket_that_listens(kind: str, workers: str, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        passed: socket.socket | IO[bytes]
        if kind == "connected":
            passed, _ = map(stack.enter_context, socket.socketpair())
        elif kind == "file":
            passed = stack.enter_context((tmp_path / "file").open("wb"))
        elif kind == "seqpacket":
            passed = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            passed.bind(str(tmp_path / "s"))
            passed.listen()
        else:
            type_of = {"bound": socket.SOCK_STREAM, "datagrams": socket.SOCK_DGRAM}
            passed = stack.enter_context(socket.socket(socket.AF_INET, type_of[kind]))
            passed.bind(("127.0.0.1", 0))
        words = [*ACTIVATED, str(passed.fileno()), *PROGRAM, "--workers", workers]
        child = subprocess.run(
            words,
            cwd=ROOT,
            pass_fds=(passed.fileno(),),
            env=environment({"LISTEN_FDS": "1"}),
            capture_output=True,
            text=True,
            timeout=10,
        )
    assert child.returncode == 2
    assert child.stderr == "sockd: descriptor 3, which was passed: expected a stream socket that listens\n"


def test_a_service_manager_is_told(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(10)
        with sockd(NOTIFY_SOCKET=path, WATCHDOG_USEC="100000") as server:
            ready = manager.recv(1024).decode().split("\n")
            host, port = server.address
            assert ready == ["READY=1", f"STATUS=listening on {host}:{port}"]
            assert [manager.recv(1024) for _ in range(3)] == [b"WATCHDOG=1"] * 3
            server.process.send_signal(signal.SIGHUP)
            assert until(manager, b"RELOADING=1").startswith(b"RELOADING=1\nMONOTONIC_USEC=")
            assert until(manager, b"READY=1") == b"READY=1"
            server.process.terminate()
            assert until(manager, b"STOPPING=1") == b"STOPPING=1"


def until(manager: socket.socket, said: bytes) -> bytes:
    """The next datagram that begins so; the watchdog's may come between."""
    while not (datagram := manager.recv(1024)).startswith(said):
        assert datagram == b"WATCHDOG=1"
    return datagram


def test_without_descriptors_it_waits_says_so_and_goes_on(echo_server: Target) -> None:
    """Of its own it has about ten; clients take two each."""
    prefix = ("sh", "-c", 'ulimit -n 40; exec "$@"', "sh")
    with sockd(prefix=prefix) as server, contextlib.ExitStack() as stack:
        streams = [stack.enter_context(server.connect()) for _ in range(40)]
        server.line("no new connections for now: Too many open files")
        assert client.ask(streams[0], 5, *echo_server.address) in (0, 1)
        for stream in streams[:30]:
            stream.close()
        server.line("new connections are taken again")
        for stream in streams[30:]:
            stream.close()
        serve_one(server, echo_server)


@pytest.mark.parametrize("said", [b"", b"\x05", b"\x05\x01\x00", b"\x05\x01\x00\x05\x01\x00\x01"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_silent_clients_do_not_keep_a_good_one_out(said: bytes, host: str, echo_server: Target) -> None:
    """They have all descriptors, and 30 seconds to say what they want; who waits is served long before that."""
    prefix = ("sh", "-c", 'ulimit -n 40; exec "$@"', "sh")
    with sockd(prefix=prefix) as server, contextlib.ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(server.connect()).sendall(said)
        server.line("no new connections for now: Too many open files")
        began = time.monotonic()
        for _ in range(3):
            with server.connect() as stream:
                assert client.ask(stream, 5, host, echo_server.port) == 0
                stream.sendall(b"hello")
                assert receive(stream, 5) == b"hello"
        assert time.monotonic() - began < 8
        assert "no request yet, and others wait" in server.line("timeout")


def test_a_descriptor_that_is_given_back_is_used_at_once(echo_server: Target) -> None:
    """Those that are relayed are not sent away; when one ends, the next one is accepted without a wait."""
    prefix = ("sh", "-c", 'ulimit -n 40; exec "$@"', "sh")
    with sockd(prefix=prefix) as server, contextlib.ExitStack() as stack:
        relayed = []
        while not relayed or select.select([relayed[-1]], [], [], 1)[0]:
            relayed.append(stack.enter_context(server.connect()))
            relayed[-1].sendall(client.GREETING + client.request5(*echo_server.address))
        server.line("no new connections for now: Too many open files")
        assert receive(relayed[0], 12)[2:4] == b"\x05\x00"
        relayed[0].close()
        assert select.select([relayed[-1]], [], [], 10)[0]
        assert receive(relayed[-1], 12)[2:4] == b"\x05\x00"


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
    """Lists of users are older than UTF-8, and terminals may be."""
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
    """No limit of the machine's is touched, and nothing is left open at the end."""
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
