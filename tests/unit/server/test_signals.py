"""Signals end the server, or let it read its configuration again. A service manager is informed."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest

from socksify.server import passwd
from tests.support.running_sockd import sockd
from tests.support.streams import receive
from tests.support.targets import Target
from tests.unit.server import client
from tests.unit.server.sockd_runs import RULES


def authenticate(address: tuple[str, int], user: bytes, password: bytes) -> bytes:
    with socket.create_connection(address, timeout=10) as stream:
        stream.sendall(b"\x05\x01\x02")
        assert receive(stream, 2) == b"\x05\x02"
        stream.sendall(client.credentials(user, password))
        return receive(stream, 2)


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
    """The next datagram that starts with `said`, without the watchdog's."""
    while not (datagram := manager.recv(1024)).startswith(said):
        assert datagram == b"WATCHDOG=1"
    return datagram
