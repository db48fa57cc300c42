"""The options of the command line."""

from __future__ import annotations

import os

import pytest

from socksify.server.config.options import Options, default_status_directory, parse


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("", Options()),
        ("--listen 127.0.0.1:0", Options(listen=(("127.0.0.1", 0),))),
        ("--listen [::1]:1 --listen ::1:2", Options(listen=(("::1", 1), ("::1", 2)))),
        ("--config a.toml", Options(config="a.toml")),
        ("--config a.conf --route b", Options(config="a.conf", route="b")),
        ("--config a.conf --allow-unsupported", Options(config="a.conf", allow_unsupported=True)),
        ("--users u", Options(users="u")),
        ("--open", Options(open=True)),
        ("--workers 4", Options(workers=4)),
        ("--log syslog", Options(log="syslog")),
        ("--log syslog:/x", Options(log="syslog:/x")),
        ("--log-format json", Options(log_format="json")),
        ("--metrics 127.0.0.1:9", Options(metrics="127.0.0.1:9")),
        ("--status-directory d", Options(status_directory="d")),
        ("--status", Options("status", ("text",))),
        ("--status json", Options("status", ("json",))),
        ("--version", Options("version")),
        ("--check f", Options("check", ("f",), config="f")),
        ("--check f.conf --route r", Options("check", ("f.conf",), config="f.conf", route="r")),
        ("--config f --test 10.0.0.1 x:80", Options("test", ("10.0.0.1", "x:80"), config="f")),
    ],
)
def test_what_is_meant(words: str, options: Options) -> None:
    assert parse(words.split()) == options


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("--listen 127.0.0.1", "'127.0.0.1': expected ADDRESS:PORT"),
        ("--listen :1080", "':1080': expected ADDRESS:PORT"),
        ("--listen 127.0.0.1:65536", "expected ADDRESS:PORT"),
        ("--listen 127.0.0.1:²", "expected ADDRESS:PORT"),
        ("--listen example.com:1080", "'example.com' is no address"),
        ("--metrics 9100", "expected ADDRESS:PORT"),
        ("--workers 0", "expected a number from 1 to 1024"),
        ("--workers 1025", "expected a number from 1 to 1024"),
        ("--workers two", "expected a number from 1 to 1024"),
        ("--log file", "expected stderr, syslog or syslog:PATH"),
        ("--log-format xml", "invalid choice"),
        ("--status xml", "expected text or json"),
        ("--config f --users u", "without --config"),
        ("--config f --open", "without --config"),
        ("--route r", "--route and --allow-unsupported are for a classic --config"),
        ("--config a.toml --route r", "--route and --allow-unsupported are for a classic --config"),
        ("--check a.toml --allow-unsupported", "--route and --allow-unsupported are for a classic --config"),
        ("--config=", "expected a file's name"),
        ("--open --users=", "expected a file's name"),
        ("--config a.conf --route=", "expected a file's name"),
        ("--check=", "expected a file's name"),
        ("--status-directory=", "expected a file's name"),
        ("--listen [::1:0", "'[::1' is no address"),
        ("--conf f", "unrecognized arguments"),
        ("--check f --status", "not allowed with"),
        ("stray", "unrecognized arguments: stray"),
    ],
)
def test_what_makes_no_sense(words: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parse(words.split())
    assert left.value.code == 2
    assert reason in capsys.readouterr().err


def test_help_ends_well(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        parse(["--help"])
    assert left.value.code == 0
    assert "sockd" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("environ", "uid", "directory"),
    [
        ({"RUNTIME_DIRECTORY": "/run/a:/run/b"}, 1, "/run/a"),
        ({}, 0, "/run/sockd"),
        ({"XDG_RUNTIME_DIR": "/run/user/1"}, 1, "/run/user/1/sockd"),
        ({"XDG_RUNTIME_DIR": "/run/user/0"}, 0, "/run/sockd"),
        ({}, 1, ""),
    ],
)
def test_the_default_directory_of_status_sockets(
    environ: dict[str, str], uid: int, directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert default_status_directory(environ) == directory
