"""Login, lost connections and reconnection, with and without TLS."""

from __future__ import annotations

from pathlib import Path

import pytest

from socksify.clients.rftp.session import Login
from tests.support.ftpd import PASSWORD, Ftpd
from tests.unit.clients.rftp.runs import Rftp, knows
from tests.unit.clients.rftp.scripted import Scripted


def test_anonymous(rftp: Rftp, ftpd: Ftpd, home: Path) -> None:
    (home / ".netrc").unlink()
    result = rftp.run("-c", "pwd; status", ftpd.host, str(ftpd.port))
    assert result.out.splitlines()[0] == "/"
    assert "logged in as anonymous" in result.out


def test_netrc(rftp: Rftp, ftpd: Ftpd) -> None:
    assert rftp.run("-c", "pwd", ftpd.host, str(ftpd.port)).out == f"{ftpd.home}\n"


def test_the_login_of_somebody_else_in_netrc_is_not_used(rftp: Rftp) -> None:
    assert rftp("pwd", user="anonymous").out == "/\n"


def test_a_wrong_password(rftp: Rftp, ftpd: Ftpd, home: Path) -> None:
    knows(home, ftpd.host, password="wrong one")
    result = rftp("pwd")
    assert (result.status, result.out, result.err) == (1, "", "rftp: open: 530 Login incorrect.\n")


@pytest.mark.parametrize("mode", [0o644, 0o660])
def test_a_netrc_that_others_can_read(rftp: Rftp, home: Path, mode: int) -> None:
    """The rule is the standard library's; the message is one line."""
    (home / ".netrc").chmod(mode)
    result = rftp("pwd")
    assert (result.status, len(result.err.splitlines())) == (1, 1)
    assert "~/.netrc: " in result.err
    assert PASSWORD not in result.err


def test_a_password_is_in_no_repr() -> None:
    assert "sesame" not in repr(Login("alice", "open sesame"))


def test_another_user_on_the_same_connection(rftp: Rftp) -> None:
    with Scripted({}) as server:
        script = f"open anonymous@{server.host} {server.port}\nuser bob secret\nstatus\n"
        result = rftp.script(script)
    assert result.status == 0, result.err
    assert "logged in as bob" in result.out
    assert server.heard == ["USER anonymous", "PASS anonymous@", "USER bob", "PASS secret", "QUIT"]


def test_tls_is_checked(rftp: Rftp) -> None:
    """The certificate's authority is unknown."""
    result = rftp("pwd", "--tls")
    assert (result.status, result.out) == (1, "")
    assert "certificate" in result.err.lower()


def test_tls_with_an_authority(rftp: Rftp, ftpd: Ftpd) -> None:
    result = rftp("status; pwd; nlst", "--tls", "--cafile", str(ftpd.certificates.authority))
    assert result.status == 0, result.err
    assert "under TLS" in result.out


def test_with_tls_no_credentials_go_in_the_clear(rftp: Rftp) -> None:
    with Scripted({"AUTH": "502 no"}) as server:
        result = rftp.run("--tls", "-c", "pwd", f"anonymous@{server.host}", str(server.port))
    assert (result.status, result.err) == (1, "rftp: open: 502 no\n")
    assert server.heard == ["AUTH TLS"]


def test_tls_in_a_session(rftp: Rftp, ftpd: Ftpd) -> None:
    ftpd.give("sub/a", b"x")
    result = rftp("cd sub; tls; status; pwd; get a", "--no-verify")
    assert result.status == 0, result.err
    assert "under TLS" in result.out
    assert result.out.splitlines()[-1] == f"{ftpd.home}/sub"


@pytest.mark.parametrize("command", ["ls", "get a", "pwd", "size a"])
def test_a_lost_connection_is_said_and_can_be_opened_again(rftp: Rftp, command: str) -> None:
    lost = {"LIST": None, "RETR": None, "PWD": None, "SIZE": None}
    with Scripted(lost) as server:
        script = f"{command}\n"
        result = rftp.script(script, f"anonymous@{server.host}", str(server.port))
        assert (result.status, result.out) == (1, "")
        assert result.err == f"rftp: connection to {server.host} lost (the server closed it); open connects again\n"


def test_a_server_that_shuts_down(rftp: Rftp) -> None:
    with Scripted({"PWD": "421 going down"}) as server:
        result = rftp.run("-c", "pwd", f"anonymous@{server.host}", str(server.port))
    assert result.err == f"rftp: connection to {server.host} lost (421 going down); open connects again\n"


def test_a_server_that_says_nothing(rftp: Rftp) -> None:
    # 150, and then neither data nor a reply.
    with Scripted({"PWD": ""}) as server:
        result = rftp.run("--timeout", "0.2", "-c", "pwd", f"anonymous@{server.host}", str(server.port))
    assert result.status == 1
    assert len(result.err.splitlines()) == 1


def test_what_a_server_says_moves_no_cursor(rftp: Rftp) -> None:
    with Scripted({"PWD": "550 \x1b]0;owned\x07\x9b2J"}) as server:
        result = rftp.run("-c", "pwd", f"anonymous@{server.host}", str(server.port))
    assert result.err == "rftp: pwd: 550 \\x1b]0;owned\\x07\\udc9b2J\n"


def test_a_name_with_a_line_in_it_is_no_command(rftp: Rftp) -> None:
    with Scripted({}) as server:
        result = rftp.run("-c", "delete 'a\nDELE b'", f"anonymous@{server.host}", str(server.port))
    assert result.status == 1
    assert "DELE b" not in server.heard
