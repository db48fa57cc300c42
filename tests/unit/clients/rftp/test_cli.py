"""The command line: which connections are proxied, which errors are reported, and how a script ends."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest

import socksify
from socksify.clients.rftp import cli
from tests.support.ftpd import PASSWORD, Ftpd
from tests.support.servers import Server
from tests.unit.clients.rftp.runs import Result, Rftp
from tests.unit.clients.rftp.scripted import Scripted

PROXY = ["--proxy", "socks5h://user:secret@127.0.0.1:9"]


pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(autouse=True)
def script_without_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))


WRONG = {
    "no proxy": ["host"],
    "unknown option": [*PROXY, "--nonsense"],
    "unknown option with a password": [*PROXY, "--nonsense=socks5h://user:secret@x"],
    "unknown scheme": ["--proxy", "gopher://user:secret@x:1"],
    "bad rule": [*PROXY, "--route", "10.0.0.0/99=direct"],
    "unwritable log": [*PROXY, "--log", "/proc/none/log"],
    "unreadable file": ["--config", "missing.toml"],
    "bad port": [*PROXY, "host", "99999"],
    "port that is none": [*PROXY, "host", "ftp"],
    "no host": [*PROXY, "user@"],
    "no user": [*PROXY, "@host"],
    "password": [*PROXY, "user:secret@host"],
    "too many words": [*PROXY, "host", "21", "more"],
    "no commands": [*PROXY, "-c"],
    "timeout": [*PROXY, "--timeout", "-1"],
    "authorities": [*PROXY, "--cafile", "missing.pem"],
}


@pytest.mark.parametrize("argv", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_status_2_and_shows_no_password(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(argv)
    out, err = capsys.readouterr()
    assert (left.value.code, out) == (2, "")
    assert "rftp: " in err
    assert "secret" not in err


def test_a_setting_is_spelt_as_it_was_typed(capsys: pytest.CaptureFixture[str]) -> None:
    for option, value in (("--proxy", "gopher://x"), ("--route", "x"), ("--connect-timeout", "0")):
        with pytest.raises(SystemExit):
            cli.main([*PROXY, option, value])
        assert f"rftp: {option}: " in capsys.readouterr().err


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    for option, told in (("--help", "usage: rftp"), ("--version", f"rftp {socksify.__version__}\n")):
        with pytest.raises(SystemExit) as left:
            cli.main([option])
        assert left.value.code == 0
        assert capsys.readouterr().out.startswith(told)


def test_direct_where_the_rules_say_direct(rftp: Rftp, ftpd: Ftpd) -> None:
    """Without a route loopback is direct. Nothing listens at that proxy."""
    log = str(rftp.directory / "log")
    words = [*PROXY, "--log", log, "-c", "pwd", f"alice@{ftpd.host}", str(ftpd.port)]
    try:
        assert cli.main(words) == 0
    finally:
        socksify.uninstall()


@pytest.mark.parametrize("name", ["danted", "microsocks", "ssh_d"])
def test_through_each_server(rftp: Rftp, name: str, request: pytest.FixtureRequest) -> None:
    rftp.proxy = request.getfixturevalue(name)
    assert rftp("pwd; ls").status == 0
    assert f"via {rftp.proxy.url()}" in rftp.log.read_text()


def test_the_environment_configures_it(rftp: Rftp, ftpd: Ftpd, danted: Server) -> None:
    variables = {"SOCKSIFY_PROXY": danted.url(), "SOCKSIFY_ROUTES": "*=proxy", "SOCKSIFY_LOG": "stderr"}
    words = [sys.executable, "-m", "socksify.clients.rftp", "-c", "pwd", f"alice@{ftpd.host}", str(ftpd.port)]
    environment = {**rftp.environment, **variables}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (0, f"{ftpd.home}\n"), done.stderr
    assert f"via {danted.url()}" in done.stderr


def test_a_proxy_that_is_not_there_is_no_way_past_it(rftp: Rftp, ftpd: Ftpd) -> None:
    words = ["--proxy", "socks5h://127.0.0.1:9", "--route", "*=proxy", "-c", "pwd", ftpd.host, str(ftpd.port)]
    try:
        assert cli.main(words) == 1
    finally:
        socksify.uninstall()
    assert "127.0.0.1:9" in rftp.capture.readouterr().err


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("", 0),
        ("pwd\n", 0),
        ("# a comment\n\n  pwd\n", 0),
        ("quit\nnonsense\n", 0),
        ("bye", 0),
        ("nonsense\nquit\n", 1),
        ("get missing\npwd\n", 1),
        ("get 'unclosed\n", 1),
        ("get\n", 1),
        ("!exit 3\n", 1),
        ("!true\n", 0),
        ("help\n?\nhelp get\nstatus\n", 0),
    ],
    ids=str,
)
def test_how_a_script_ends(rftp: Rftp, ftpd: Ftpd, script: str, status: int) -> None:
    result = rftp.script(script, f"alice@{ftpd.host}", str(ftpd.port))
    assert result.status == status
    assert len(result.err.splitlines()) == status


def test_a_script_stops_at_its_first_failure(rftp: Rftp, ftpd: Ftpd) -> None:
    result = rftp("mkdir one; delete missing; mkdir two")
    assert result.status == 1
    assert [path.name for path in ftpd.home.iterdir()] == ["one"]


def test_a_server_that_is_not_there(rftp: Rftp) -> None:
    with Scripted({}) as server:
        port = server.port
    result = rftp.run("-c", "pwd", server.host, str(port))
    assert (result.status, result.out) == (1, "")
    assert "refused" in result.err


def test_open_in_a_script(rftp: Rftp, ftpd: Ftpd) -> None:
    script = f"open {ftpd.host} {ftpd.port}\npwd\nclose\nstatus\nopen\npwd\nquit\n"
    result = rftp.script(script)
    assert result.status == 0, result.err
    assert result.out.splitlines().count(str(ftpd.home)) == 2
    assert "not connected" in result.out


def test_a_password_in_front_of_a_host_is_refused(rftp: Rftp) -> None:
    result = rftp.run("-c", "open bob:secret@host")
    assert (result.status, rftp.log.read_text()) == (1, "")
    assert result.err.endswith("rftp: open: no password here; rftp asks, and ~/.netrc may hold it\n")
    assert "secret" not in result.err


def test_a_closed_stdin_is_an_empty_script(rftp: Rftp) -> None:
    rftp.monkeypatch.setattr("sys.stdin", None)
    assert rftp.run() == Result(0, "", "")


def test_a_password_given_on_stdin(rftp: Rftp) -> None:
    with Scripted({}) as server:
        result = rftp.script(f"open {server.host} {server.port}\nuser bob 'open sesame'\n")
    assert (result.status, result.out, result.err) == (0, "", "")
    assert server.heard[-3:-1] == ["USER bob", f"PASS {PASSWORD}"]


def test_a_password_given_for_all_to_read(rftp: Rftp) -> None:
    """A password in -c works, with a warning."""
    with Scripted({}) as server:
        result = rftp.run("-c", f"open {server.host} {server.port}; user bob 'open sesame'")
    assert (result.status, result.out) == (0, "")
    assert result.err.startswith("rftp: everybody on this machine can read a password in -c; ")
    assert PASSWORD not in result.err


def test_where_nobody_can_be_asked_for_a_password(rftp: Rftp, ftpd: Ftpd) -> None:
    """A process in its own session has no terminal for questions."""
    words = [*rftp.argv, "-c", "pwd", f"nobody@{ftpd.host}", str(ftpd.port)]
    done = subprocess.run(
        words,
        env=rftp.environment,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"rftp: open: Password for nobody@{ftpd.host}: there is no terminal to ask on")


def test_the_launcher_runs_it_too(rftp: Rftp, ftpd: Ftpd) -> None:
    """rftp is a program like any other, and `python -m socksify` can start it."""
    options = ["--proxy", rftp.proxy.url(), "--route", "*=proxy"]
    words = [sys.executable, "-m", "socksify", *options, "-m", "socksify.clients.rftp", *options, "-c", "pwd"]
    done = subprocess.run(
        [*words, ftpd.host, str(ftpd.port)], env=rftp.environment, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, f"{ftpd.home}\n"), done.stderr
