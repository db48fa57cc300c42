"""rtelnet in a real terminal, with a real telnetd and a real vsftpd, through danted. The tests compare the screen."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ftpd import PASSWORD, USER, Ftpd, vsftpd
from tests.support.inetd import Service, service
from tests.support.processes import require
from tests.support.servers import with_account
from tests.support.terminals import soon
from tests.support.tmux import screen
from tests.unit.clients.rtelnet.runs import Rtelnet


@pytest.fixture(scope="module")
def ftpd() -> Iterator[Ftpd]:
    with vsftpd() as server:
        yield server


@pytest.fixture(scope="module")
def login(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """telnetd with login(1), and with an account for alice."""
    directory: Path = tmp_path_factory.mktemp("login")
    argv = with_account([require("telnetd"), "-h"], directory, USER, PASSWORD, "/", "/bin/sh")
    with service(*argv) as found:
        yield found


def test_a_session_with_telnetd(rtelnet: Rtelnet, telnetd: Service) -> None:
    words = rtelnet.argv(telnetd.host, str(telnetd.port))
    with screen(words, rtelnet.environment, rtelnet.directory) as shown:
        shown.see(":")
        shown.type("echo one $((1+1)) thref\x7fe\r")
        shown.see("one 2 three")
        shown.type("tty >/dev/null && stty size; echo $TERM\r")
        shown.see("24 80")
        shown.resize(100, 30)
        shown.type("clear; stty size; echo end\r")
        rows = shown.see("end")
        assert rows == ["30 100", "end", ":"]
        shown.type("printf '\\033[5;10Hhere'; read x\r")
        shown.see("         here")
        assert shown.cursor == (13, 4)
        # The kernel of the server turns the key into a signal, and the local one does not.
        shown.type("\x03")
        shown.see("         here^C")
        shown.type("exit\r")
        shown.see("Connection closed by foreign host.")


def test_what_a_session_looks_like(rtelnet: Rtelnet, telnetd: Service) -> None:
    words = rtelnet.argv(telnetd.host, str(telnetd.port))
    with screen(words, rtelnet.environment, rtelnet.directory) as shown:
        shown.see(":")
        shown.type("stty -echo; echo done\r")
        shown.see("done")
        shown.type("echo unseen | tr a-z A-Z\r")
        shown.see(":UNSEEN")
        soon(lambda: shown.rows[-1] == ":", "the shell's prompt is not there")
        shown.type("\x1d")
        shown.see("rtelnet>")
        shown.type("close\r")
        shown.see("Connection closed.")
        assert shown.rows[:9] == [
            f"Trying {telnetd.host}...",
            f"Connected to {telnetd.host}.",
            "Escape character is '^]'.",
            ":stty -echo; echo done",
            "done",
            ":UNSEEN",
            ":",
            "rtelnet> close",
            "Connection closed.",
        ]


def test_a_password_at_login(rtelnet: Rtelnet, login: Service) -> None:
    words = rtelnet.argv(login.host, str(login.port))
    with screen(words, rtelnet.environment, rtelnet.directory) as shown:
        shown.see(f"{socket.gethostname()} login:")
        shown.type(f"{USER}\r")
        shown.see("Password:")
        shown.type(f"{PASSWORD}\r")
        shown.see("$")
        shown.type("id -un\r")
        shown.see(USER)
        assert "Password:" in shown.rows
        shown.type("exit\r")
        shown.see("Connection closed by foreign host.")
        assert not any("sesame" in row for row in shown.rows)


def test_a_script_with_telnetd(rtelnet: Rtelnet, telnetd: Service) -> None:
    done = rtelnet.piped(b"echo one $((1+1)) three\n", telnetd.host, str(telnetd.port))
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"one 2 three\r\n" in done.stdout


def test_vsftpd_s_control_connection(rtelnet: Rtelnet, ftpd: Ftpd) -> None:
    """A server of another protocol that accepts telnet's commands (RFC 959 section 4.1)."""
    words = rtelnet.argv(ftpd.host, str(ftpd.port))
    with screen(words, rtelnet.environment, rtelnet.directory) as shown:
        shown.see("220 ")
        shown.type("USER anonymoux\x7fs\r")
        shown.see("331 ")
        shown.type("PASS x\r")
        shown.see("230 ")
        shown.type("QUIT\r")
        shown.see("Connection closed by foreign host.")
        assert shown.rows[:11] == [
            f"Trying {ftpd.host}...",
            f"Connected to {ftpd.host}.",
            "Escape character is '^]'.",
            "220 (vsFTPd 3.0.3)",
            "USER anonymous",
            "331 Please specify the password.",
            "PASS x",
            "230 Login successful.",
            "QUIT",
            "221 Goodbye.",
            "Connection closed by foreign host.",
        ]


def test_a_script_with_vsftpd(rtelnet: Rtelnet, ftpd: Ftpd) -> None:
    done = rtelnet.piped(b"USER anonymous\nPASS x\nPWD\nQUIT\n", ftpd.host, str(ftpd.port))
    assert (done.returncode, done.stderr) == (0, b"")
    codes = [line[:3] for line in done.stdout.splitlines()]
    assert codes == [b"220", b"331", b"230", b"257", b"221"]
    assert f"via {rtelnet.proxy.url()}" in rtelnet.log.read_text()
