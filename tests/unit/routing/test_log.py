"""One line per connection: target, route, proxy, time, result; whole, and without a password."""

from __future__ import annotations

import os
import re
import socket
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

import socksify
from socksify.config.proxy_url import Proxy
from socksify.config.rules import Rule
from socksify.protocol.address import Address
from socksify.routing import log
from socksify.routing.route import Via
from tests.support.bad_proxy import BadProxy
from tests.support.routing import LOOPBACK, open_fds, routed
from tests.support.steps import good
from tests.support.targets import Target


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "log"


def test_a_success_is_a_line(file: Path, echo_server: Target) -> None:
    with BadProxy(good("socks5h")) as proxy, routed(proxy.url(), log=str(file)):
        socket.create_connection(echo_server.address, timeout=10).close()
    target = re.escape("{}:{}".format(*echo_server.address))
    expected = rf"socksify: SOCKSclient: connect {target} via {proxy.url()} \(rule 127\.0\.0\.0/8=proxy\) \d+ ms ok\n"
    assert re.fullmatch(expected, file.read_text())


def test_a_failure_is_a_line_with_its_reason(file: Path, echo_server: Target) -> None:
    with (
        BadProxy(good("socks5h", reply=5)) as proxy,
        routed(proxy.url(), log=str(file)),
        socket.socket() as sock,
        pytest.raises(ConnectionRefusedError),
    ):
        sock.connect(echo_server.address)
    (line,) = file.read_text().splitlines()
    assert "ProxyConnectionRefusedError" in line
    assert "Connection refused" in line


def test_no_line_has_a_password(file: Path, echo_server: Target) -> None:
    with (
        BadProxy(good("socks5h", password=True), good("socks5h", reply=2)) as proxy,
        routed(f"socks5h://alice:sesame@127.0.0.1:{proxy.port}", log=str(file)),
    ):
        socket.create_connection(echo_server.address, timeout=10).close()
        with pytest.raises(PermissionError):
            socket.create_connection(echo_server.address, timeout=10)
    assert len(file.read_text().splitlines()) == 2
    assert "alice" in file.read_text()
    assert "sesame" not in file.read_text()


def test_direct_and_denied_connections_are_lines(file: Path, echo_server: Target) -> None:
    routes = ("127.0.0.1=direct", "203.0.113.0/24=block")
    with routed("socks5h://192.0.2.1:1080", routes=routes, log=str(file)), socket.socket() as sock:
        with pytest.raises(PermissionError):
            sock.connect(("203.0.113.5", 80))
        sock.connect(echo_server.address)
    denied, direct = file.read_text().splitlines()
    assert "connect 203.0.113.5:80 denied: blocked by rule '203.0.113.0/24=block'" in denied
    assert re.search(r"direct \(rule 127\.0\.0\.1=direct\) \d+ ms ok$", direct)


def test_a_pending_connect_is_a_line_when_it_is_settled(file: Path, echo_server: Target) -> None:
    with BadProxy(good("socks5h")) as proxy, routed(proxy.url(), log=str(file)), socket.socket() as sock:
        sock.setblocking(False)
        sock.connect_ex(echo_server.address)
        sock.settimeout(10)
        sock.sendall(b"ping")
        assert sock.recv(4, socket.MSG_WAITALL) == b"ping"
    (line,) = file.read_text().splitlines()
    assert line.endswith(" ms ok")


def test_init_names_the_client(file: Path, echo_server: Target) -> None:
    with BadProxy(good("socks5h")) as proxy, routed(proxy.url(), log=str(file)):
        socksify.init("rtelnet")
        socket.create_connection(echo_server.address, timeout=10).close()
    assert file.read_text().startswith("socksify: rtelnet: connect ")


def test_what_a_hostile_name_holds_is_written_out(file: Path) -> None:
    """A client may have such a name from a server."""
    with routed("socks5h://192.0.2.1:1080", log=str(file)):
        log.denied(("evil\nsocksify forged\x1b[2J", 80), "no")
    assert len(file.read_text().splitlines()) == 1
    assert "\x1b" not in file.read_text()
    assert "evil\\nsocksify" in file.read_text()


def test_threads_do_not_mix_their_lines(file: Path) -> None:
    log.open_log(str(file))

    def write() -> None:
        for _ in range(200):
            log.line("x" * 500)

    try:
        threads = [threading.Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    finally:
        log.close_log()
    assert set(file.read_text().splitlines()) == {"socksify: " + "x" * 500}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_line_of_another_thread_opens_no_log_that_has_been_closed(file: Path) -> None:
    log.open_log(str(file))
    old = log._log
    assert isinstance(old, log._File)
    log.open_log("")
    before = open_fds()
    old.write(b"late\n")
    assert open_fds() == before
    assert file.read_text() == ""


def test_a_log_that_cannot_be_opened_leaves_nothing_installed(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        socksify.install("socks5h://192.0.2.1:1080", routes=list(LOOPBACK), log=str(tmp_path / "no" / "log"))
    # The network is closed meanwhile.
    socksify.uninstall()
    assert "connect" not in vars(socket.socket)
    assert not log.is_open()


def test_without_a_log_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    log.close_log()
    assert not log.is_open()
    log.line("nobody reads this")
    assert capsys.readouterr() == ("", "")


def test_a_warning_is_told_on_stderr_and_in_the_log(file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log.open_log(str(file))
    try:
        assert log.is_open()
        log.warn("two places")
    finally:
        log.close_log()
    assert file.read_text() == capfd.readouterr().err == "socksify: two places\n"
    log.open_log("stderr")
    try:
        log.warn("one place")
    finally:
        log.close_log()
    assert capfd.readouterr().err == "socksify: one place\n"


def test_a_log_that_the_program_has_closed_is_opened_again(file: Path) -> None:
    """Daemons close every descriptor that they have not opened."""
    log.open_log(str(file))
    try:
        log.line("before")
        (fd,) = (
            int(name) for name in os.listdir("/proc/self/fd") if os.path.realpath(f"/proc/self/fd/{name}") == str(file)
        )
        os.close(fd)
        log.line("after")
    finally:
        log.close_log()
    assert file.read_text() == "socksify: before\nsocksify: after\n"


def test_a_log_that_cannot_be_written_is_no_error() -> None:
    log.open_log("/dev/full")
    try:
        log.line("there is no room for this")
    finally:
        log.close_log()


def test_connections_that_were_accepted_and_those_nobody_reads_of(file: Path) -> None:
    target = Address.of("2001:db8::1", 80)
    route = Via((Proxy("socks5h", "gw", 1080),), target, ("2001:db8::1", 80), Rule("*=proxy", "test", "proxy"))
    log.close_log()
    log.connected(route, 0.0, None)
    log.open_log(str(file))
    try:
        log.accepted(route)
    finally:
        log.close_log()
    assert file.read_text() == "socksify: SOCKSclient: accepted [2001:db8::1]:80 via socks5h://gw:1080\n"


def test_a_log_that_is_closed_while_it_is_opened_again_stays_closed(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.open_log(str(file))
    descriptors = len(open_fds())
    (fd,) = (name for name in os.listdir("/proc/self/fd") if os.path.realpath(f"/proc/self/fd/{name}") == str(file))
    os.close(int(fd))
    original = log._opened

    def closing(path: str) -> Any:
        log.close_log()
        return original(path)

    monkeypatch.setattr(log, "_opened", closing)
    log.line("last words")
    assert not log.is_open()
    assert file.read_text() == "socksify: last words\n"
    assert len(open_fds()) == descriptors - 1
