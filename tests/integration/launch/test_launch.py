"""The command line: what is asked is answered, what is wrong is told in one line, and then nothing runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import socksify
from socksify import launch
from tests.support.both import CONSOLE_SCRIPT, Both

PROXY = ["--proxy", "socks5h://user:secret@127.0.0.1:9"]


@pytest.fixture
def both(tmp_path: Path) -> Both:
    return Both(tmp_path)


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith("SOCKS"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("argv", [["--help"], ["-h"], ["--proxy", "nonsense", "--help", "missing.py"]], ids=str)
def test_help(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert launch.main(argv) == 0
    assert capsys.readouterr().out.startswith("usage: socksify [options]")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert launch.main(["--version"]) == 0
    assert capsys.readouterr().out == f"socksify {socksify.__version__}\n"


def test_show(capsys: pytest.CaptureFixture[str]) -> None:
    assert launch.main([*PROXY, "--show"]) == 0
    out = capsys.readouterr().out
    assert "socks5h://user:***@127.0.0.1:9  (--proxy)" in out
    assert "secret" not in out


def test_show_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert launch.main([*PROXY, "--show=json", "program.py"]) == 0
    shown = {row["name"]: row for row in json.loads(capsys.readouterr().out)["settings"]}
    assert shown["proxy"]["source"] == "--proxy"


@pytest.mark.parametrize(
    ("options", "destination", "told"),
    [
        ([], "example.com:80", "example.com:80 through socks5h://user:***@127.0.0.1:9 (rule '*=proxy', built in)"),
        (
            [],
            "[2001:db8::1]:443",
            "[2001:db8::1]:443 through socks5h://user:***@127.0.0.1:9 (rule '*=proxy', built in)",
        ),
        ([], "127.0.0.1:80", "direct (rule '127.0.0.0/8=direct', built in)"),
        (["--direct", "*.corp"], "a.corp:80", "direct (rule '*.corp=direct', --direct)"),
        (["--route", "bad.example=block"], "bad.example:1", "refused: blocked by rule 'bad.example=block' (--route)"),
    ],
    ids=str,
)
def test_explain(options: list[str], destination: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert launch.main([*PROXY, *options, "--explain", destination]) == 0
    assert capsys.readouterr().out == f"{destination}: {told}\n"


def test_explain_several(capsys: pytest.CaptureFixture[str]) -> None:
    assert launch.main([*PROXY, "--explain", "127.0.0.1:80", "--explain=a.example:1"]) == 0
    direct, proxied = capsys.readouterr().out.splitlines()
    assert direct.startswith("127.0.0.1:80: direct")
    assert proxied.startswith("a.example:1: a.example:1 through socks5h://user:***@")


@pytest.mark.parametrize(
    "destination",
    [
        *("https://alice:secret@www.example:443", "https://alice:secret@www.example/", "alice:secret@www.example:443"),
        *("socks5h://secret:8@x:80", "www.example/?password=secret:80", "//:secret@x:1", "secret@x"),
    ],
)
def test_explain_shows_nothing_of_a_url(destination: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert launch.main([*PROXY, "--explain", destination]) == 2
    out, err = capsys.readouterr()
    assert (out, "secret" in err) == ("", False)
    assert err == "socksify: --explain: expected HOST:PORT, such as www.example:443, and not a URL\n"


def test_pythons_own_options_stand_before(both: Both) -> None:
    both.write("program.py", "import sys, warnings; print(sys.warnoptions, sys.flags.dev_mode)")
    for options in (["-W", "error"], ["-X", "dev"]):
        refused = both.python("-m", "socksify", *PROXY, *options, "program.py")
        assert refused.returncode == 2
        advised = refused.stderr.decode().rpartition(": ")[2].split()
        assert advised == ["python", options[0], "...", "-m", "socksify", "..."]
        done = both.python(*options, "-m", "socksify", *PROXY, "program.py")
        assert done.returncode == 0
        assert done.stdout == both.python(*options, "program.py").stdout


@pytest.mark.parametrize("word", ["-", "stderr"])
def test_a_log_on_stderr(both: Both, word: str) -> None:
    both.write("program.py", "import socket; socket.socket().connect_ex(('192.0.2.1', 80))")
    ways = (["--log", word], [f"--log={word}"])
    results = [both.python("-m", "socksify", *PROXY, *way, "program.py") for way in ways]
    both.environment["SOCKSIFY_LOG"] = word
    results.append(both.python("-m", "socksify", *PROXY, "program.py"))
    for result in results:
        assert result.stderr.count(b"connect 192.0.2.1:80") == 1
    assert not (both.directory / word).exists()
    del both.environment["SOCKSIFY_LOG"]
    both.python("-m", "socksify", *PROXY, "--log", f"./{word}", "program.py")
    assert "192.0.2.1:80" in (both.directory / word).read_text()


LACKING = {
    "this Python": "import _socket, socket; del socket.SO_DOMAIN, _socket.SO_DOMAIN",
    "our package": "import sys; sys.modules['socksify.patches.polling'] = None",
}


@pytest.mark.parametrize("lacking", LACKING.values(), ids=LACKING)
@pytest.mark.parametrize("options", [[], ["--strict", "--seal=off"]], ids=str)
def test_what_is_lacking_is_not_blamed_on_a_setting(both: Both, lacking: str, options: list[str]) -> None:
    both.write("here/sitecustomize.py", lacking)
    both.environment["PYTHONPATH"] = str(both.directory / "here")
    result = both.python("-m", "socksify", *PROXY, *options, "-c", "print('ran')")
    assert (result.returncode, result.stdout) == (2, b"")
    assert result.stderr.startswith(f"socksify: it cannot install in {sys.executable}, and nothing has st".encode())
    assert result.stderr.count(b"\n") == 1


def test_nor_is_an_error_of_the_system(both: Both) -> None:
    both.write(
        "here/sitecustomize.py",
        "import os\ndef memfd_create(*_): raise OSError(24, 'Too many open files')\nos.memfd_create = memfd_create\n"
        "import socksify.patches.children.subinterpreters as one\none.cover = memfd_create\n",
    )
    both.environment["PYTHONPATH"] = f"{both.directory / 'here'}:{Path(launch.__file__).parents[1]}"
    result = both.python("-m", "socksify", *PROXY, "-c", "print('ran')")
    assert (result.returncode, result.stdout) == (2, b"")
    assert result.stderr.startswith(b"socksify: it cannot install in ")


WRONG = {
    "nothing": [],
    "no proxy": ["program.py"],
    "no program": PROXY,
    "no module": [*PROXY, "-m"],
    "no command": [*PROXY, "-c"],
    "unknown option": ["--nonsense", "program.py"],
    "unknown scheme": ["--proxy", "gopher://user:secret@x:1", "program.py"],
    "bad port": ["--proxy", "socks5h://user:secret@x:99999", "program.py"],
    "bad rule": [*PROXY, "--route", "10.0.0.0/99=direct", "program.py"],
    "unreadable file": ["--config", "missing.toml", "program.py"],
    "unwritable log": [*PROXY, "--log", "/proc/none/log", "program.py"],
    "destination without port": [*PROXY, "--explain", "example.com"],
    "destination's port": [*PROXY, "--explain", "example.com:99999"],
    "two proxies in force": [*PROXY, "--embedded", "program.py"],
}


@pytest.mark.parametrize("argv", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_line_and_status_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("program.py").write_text("open('ran', 'w').close()")
    assert launch.main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("socksify: ")
    assert err.count("\n") == 1
    assert "secret" not in err
    assert not Path("ran").exists()


def test_the_command_ends_with_the_status(both: Both) -> None:
    both.write("program.py", "print('ran')")
    for command in (["-m", "socksify"], [CONSOLE_SCRIPT]):
        refused = both.python(*command, "program.py")
        assert (refused.returncode, refused.stdout) == (2, b"")
        assert both.python(*command, "--version").returncode == 0
        assert both.python(*command, *PROXY, "program.py").stdout == b"ran\n"


def test_options_end_where_the_program_begins(both: Both) -> None:
    both.write("program.py", "import sys; print(sys.argv[1:])")
    words = ["--help", "--proxy", "x", "--", "-v"]
    assert both.socksify("program.py", *words).stdout.decode() == f"{words}\n"
    assert both.socksify("--", "program.py", *words).stdout.decode() == f"{words}\n"


def test_a_program_may_install_other_settings_and_see_its_errors(both: Both) -> None:
    """ConfigError from the program is the program's, with a traceback, not a line of the launcher's."""
    both.write("program.py", "import socksify\nsocksify.install('gopher://x')")
    result = both.socksify("program.py")
    assert result.returncode == 1
    assert result.stderr.startswith(b"Traceback (most recent call last):\n")


def test_the_patches_are_in_force_when_the_program_starts(both: Both) -> None:
    both.write(
        "program.py",
        "import errno, socket\ns = socket.socket()\ns.settimeout(30)\n"
        "try:\n    s.connect(('192.0.2.1', 80))\nexcept ConnectionRefusedError as e:\n    print(e)",
    )
    assert b"127.0.0.1:9" in both.socksify("program.py").stdout


def test_embedded(both: Both) -> None:
    both.write(
        "program.py",
        "import socket, threading\nlistener = socket.create_server(('127.0.0.1', 0))\n"
        "s = socket.create_connection(listener.getsockname(), timeout=30)\n"
        "peer, _ = listener.accept()\npeer.sendall(b'hello')\npeer.close()\nprint(s.recv(99))",
    )
    result = both.python("-m", "socksify", "--embedded", "-v", "--route", "127.0.0.0/8=proxy", "program.py")
    assert (result.returncode, result.stdout) == (0, b"b'hello'\n"), result.stderr
    assert b"socks5h://127.0.0.1:" in result.stderr
