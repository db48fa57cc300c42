"""One client at a time: targets are reached, refusals are answered, and bad peers end in a log line."""

from __future__ import annotations

import socket
import subprocess

import pytest

from socksify.server.session.report import line
from tests.support.processes import require
from tests.support.streams import receive, receive_all
from tests.support.targets import PAGE, Target
from tests.unit.server import client
from tests.unit.server.running import Running


@pytest.mark.parametrize(("version", "host"), client.VERSIONS)
def test_connect_relays(version: int, host: str, running: Running, echo_server: Target) -> None:
    stream = running.connect()
    assert client.ask(stream, version, host, echo_server.port) == 0
    stream.sendall(b"ping")
    assert receive(stream, 4) == b"ping"
    stream.shutdown(socket.SHUT_WR)
    assert receive_all(stream) == b""
    told = f"[{host}]" if ":" in host else host
    report = running.report()
    assert (report.outcome, report.up, report.down) == ("done", 4, 4)
    assert (report.command, report.target) == ("connect", f"{told}:{echo_server.port}")


@pytest.mark.parametrize("scheme", ["socks4", "socks4a", "socks5", "socks5h"])
def test_curl_gets_a_page(scheme: str, running: Running, http_server: Target) -> None:
    proxy = f"{scheme}://{running.server.host}:{running.server.port}"
    # --noproxy '': otherwise curl would reach loopback directly.
    argv = [
        require("curl"),
        "-sS",
        "--max-time",
        "20",
        "--noproxy",
        "",
        "-x",
        proxy,
        f"http://localhost:{http_server.port}/",
    ]
    assert subprocess.run(argv, capture_output=True, check=True).stdout == PAGE


def test_the_reply_tells_the_outgoing_address(running: Running, echo_server: Target) -> None:
    stream = running.connect()
    stream.sendall(client.GREETING)
    receive(stream, 2)
    stream.sendall(client.request5(*echo_server.address))
    code, bound = client.reply5(stream)
    assert (code, bound[:5]) == (0, b"\x01\x7f\0\0\x01")
    assert bound[5:] not in (b"\0\0", echo_server.port.to_bytes(2))


def test_a_name_that_is_a_literal_is_one(running: Running, echo_server: Target) -> None:
    stream = running.connect()
    stream.sendall(client.GREETING)
    receive(stream, 2)
    stream.sendall(b"\x05\x01\x00\x03\x09127.0.0.1" + echo_server.port.to_bytes(2))
    assert client.reply5(stream)[0] == 0


@pytest.mark.parametrize(("version", "command", "code"), [(5, 77, 7), (4, 3, 91), (4, 77, 91)])
def test_other_commands_are_not_supported(version: int, command: int, code: int, running: Running) -> None:
    stream = running.connect()
    assert client.ask(stream, version, "127.0.0.1", 9, command) == code
    assert receive_all(stream) == b""
    stream.close()
    report = running.report()
    assert (report.outcome, report.detail) == ("unsupported", f"command {command} is not supported")


@pytest.mark.parametrize(("version", "code"), [(4, 91), (5, 5)])
def test_a_refused_connection(version: int, code: int, running: Running) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        stream = running.connect()
        assert client.ask(stream, version, *nobody.getsockname()) == code
    assert receive_all(stream) == b""
    stream.close()
    report = running.report()
    assert (report.outcome, report.detail) == ("failed", "Connection refused")


@pytest.mark.parametrize(("version", "code"), [(4, 91), (5, 4)])
def test_an_unknown_host(version: int, code: int, running: Running) -> None:
    assert client.ask(running.connect(), version, "no-such-host.invalid", 80) == code


def test_an_unreachable_network(running: Running) -> None:
    """255.255.255.255 is no destination for TCP: connect(2) fails with ENETUNREACH or EACCES, and never blocks."""
    assert client.ask(running.connect(), 5, "255.255.255.255", 9) in (2, 3)


def test_a_target_that_does_not_answer(running: Running) -> None:
    running.limit(connect_seconds=0.1)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.create_connection(full.getsockname()):
        assert client.ask(running.connect(), 5, *full.getsockname()) == 6


def test_a_name_cannot_forge_a_log_line(running: Running) -> None:
    stream = running.connect()
    assert client.ask(stream, 5, "x\nsockd\x1b[31m.invalid", 80) == 4
    stream.close()
    report = running.report()
    assert report.target == "x\\nsockd\\x1b[31m.invalid:80"
    assert line(report).isprintable()
