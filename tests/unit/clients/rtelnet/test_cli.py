"""rtelnet's command line: its errors, a missing library, and the route of the connection."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import socksify
from socksify.clients.rtelnet import cli
from tests.support.inetd import Service
from tests.unit.clients.rtelnet.peer import Peer
from tests.unit.clients.rtelnet.runs import Rtelnet

PROXY = ["--proxy", "socks5h://user:secret@127.0.0.1:9"]

WRONG = {
    "no host": PROXY,
    "no proxy": ["host"],
    "unknown option": [*PROXY, "--nonsense", "host"],
    "unknown option with a password": ["--nonsense=socks5h://user:secret@x", "host"],
    "unknown scheme": ["--proxy", "gopher://user:secret@x:1", "host"],
    "bad port": [*PROXY, "host", "99999"],
    "no port": [*PROXY, "host", "0"],
    "no service": [*PROXY, "host", "no-such-service"],
    "too many words": [*PROXY, "host", "23", "more"],
    "escape character": [*PROXY, "-e", "ab", "host"],
    "no control character": [*PROXY, "-e", "^1", "host"],
    "no escape character": [*PROXY, "-e", "", "host"],
}


@pytest.mark.parametrize("argv", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_status_2_and_shows_no_password(
    argv: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(SystemExit) as left:
        cli.main(argv)
    out, err = capsys.readouterr()
    assert (left.value.code, out) == (2, "")
    assert "rtelnet: " in err
    assert "secret" not in err


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    for option, told in (("--help", "usage: rtelnet"), ("--version", f"rtelnet {socksify.__version__}\n")):
        with pytest.raises(SystemExit) as left:
            cli.main([option])
        assert left.value.code == 0
        assert capsys.readouterr().out.startswith(told)


def test_without_telnetlib3_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in list(sys.modules):
        if name.startswith(("telnetlib3", "socksify.clients.rtelnet.")) and name != cli.__name__:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "telnetlib3", None)
    with pytest.raises(SystemExit) as left:
        cli.main([*PROXY, "host"])
    assert left.value.code == 1
    assert "pip install 'socksify[telnet]'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["danted", "microsocks", "ssh_d"])
def test_through_each_server(rtelnet: Rtelnet, telnetd: Service, name: str, request: pytest.FixtureRequest) -> None:
    rtelnet.proxy = request.getfixturevalue(name)
    done = rtelnet.piped(b"echo a$((1+1))b\nexit\n", telnetd.host, str(telnetd.port))
    assert done.returncode == 0
    assert f"via {rtelnet.proxy.url()}" in rtelnet.log.read_text()


def test_direct_where_the_rules_say_direct(rtelnet: Rtelnet) -> None:
    """Without a route loopback is direct. Nothing listens at that proxy."""
    with Peer() as peer:
        words = [sys.executable, "-m", "socksify.clients.rtelnet", *PROXY, *peer.words]
        process = subprocess.Popen(words, env=rtelnet.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        with process:
            peer.say(b"hello\r\n")
            peer.close()
            assert process.stdout is not None
            assert process.stdout.read() == b"hello\r\n"
        assert process.returncode == 0


def test_a_server_that_is_not_there(rtelnet: Rtelnet) -> None:
    with Peer() as peer:
        words = peer.words
    done = rtelnet.piped(b"", *words)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(f"rtelnet: {words[0]} port {words[1]}: proxy {rtelnet.proxy.url()} for ".encode())
    assert done.stderr.count(b"\n") == 1


def test_a_proxy_that_is_not_there_is_no_way_past_it(rtelnet: Rtelnet, telnetd: Service) -> None:
    words = ["--proxy", "socks5h://127.0.0.1:9", "--route", "*=proxy", telnetd.host, str(telnetd.port)]
    argv = [sys.executable, "-m", "socksify.clients.rtelnet", *words]
    done = subprocess.run(argv, env=rtelnet.environment, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"127.0.0.1:9" in done.stderr


def test_the_name_of_a_service(rtelnet: Rtelnet) -> None:
    """Nothing listens on that port. The error shows which port was used."""
    done = rtelnet.piped(b"", "127.0.0.1", "finger")
    assert b"port 79: " in done.stderr
