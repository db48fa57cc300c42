"""`--native`: proxychains4 under programs that are no Python, and under code in C. A Python is proxied once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from socksify import launch
from socksify.patches.children import proxychains
from tests.integration.children.recording_proxy import RecordingProxy
from tests.support.processes import require
from tests.support.targets import PAGE, Target


def run(directory: Path, program: str, *options: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    (directory / "program.py").write_text(f"import os, subprocess, sys\n{program}\n")
    ended = subprocess.run(
        [sys.executable, "-m", "socksify", *options, "program.py"],
        cwd=directory,
        env={"PATH": os.defpath, "HOME": str(directory)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == status, ended.stderr
    return ended


CURL = "['curl', '-sS', '-m', '30', 'http://{name}/']"
START_METHODS = {
    "subprocess": "subprocess.run({curl})",
    "no environment": "subprocess.run({curl}, env={{'PATH': os.environ['PATH']}})",
    "system": "os.system(' '.join({curl}))",
    "exec": "os.execvp('curl', {curl})",
    "a child of a child": "subprocess.run([sys.executable, '-c', 'import socket, subprocess; subprocess.run({curl})'])",
    "after a fork": "os.fork() or os._exit(subprocess.run({curl}).returncode)\nos.wait()",
}


@pytest.mark.parametrize("method", START_METHODS)
def test_curl(method: str, proxy: RecordingProxy, tmp_path: Path) -> None:
    require("proxychains4")
    curl, name = require("curl"), f"native-{list(START_METHODS).index(method)}.example"
    words = CURL.format(name=name)
    if method == "a child of a child":
        words = words.replace("'", '"')
    program = START_METHODS[method].format(curl=words)
    ended = run(tmp_path, program, "--proxy", proxy.url().replace("127.0.0.1", "localhost"), "--native")
    assert ended.stdout == "covered", (curl, ended.stderr)
    assert proxy.asked_for(name) == 1


PYTHON = """
def fetch(name):
    import socket
    with socket.create_connection((name, 80), timeout=30) as stream:
        stream.sendall(b"GET")
        print(stream.recv(1000).decode()[-7:], flush=True)
if len(sys.argv) > 1:
    fetch(sys.argv[1])
else:
    fetch("parent.example")
    os.system(f"{sys.executable} {__file__} child.example")
    print(sorted(name for name in os.environ if name.startswith(("LD_", "PROXYCHAINS", "SOCKS", "PYTHON"))))
    files = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
    print(sys.orig_argv[1:4], sum("proxychains" in file for file in files))
"""


def test_what_is_covered_already_is_proxied_once(proxy: RecordingProxy, tmp_path: Path) -> None:
    require("proxychains4")
    ended = run(tmp_path, PYTHON, "--proxy", proxy.url(), "--native")
    words = ["-m", "socksify", "--proxy"]
    assert ended.stdout.splitlines() == ["covered", "covered", "[]", f"{words} 1"], ended.stderr
    assert ended.stderr == ""
    assert [proxy.asked_for(name) for name in ("parent.example", "child.example")] == [1, 1]


LIBRARY = """
import psycopg2
try:
    psycopg2.connect(host="database.example", user="x", connect_timeout=10)
except psycopg2.OperationalError:
    pass
"""


def test_a_module_with_network_code_of_its_own(proxy: RecordingProxy, tmp_path: Path) -> None:
    require("proxychains4")
    assert run(tmp_path, LIBRARY, "--proxy", proxy.url(), "--native").stderr == ""
    assert proxy.asked_for("database.example") == 1


def test_what_is_direct_stays_direct(proxy: RecordingProxy, http_server: Target, tmp_path: Path) -> None:
    require("proxychains4")
    before = len(proxy.sessions)
    program = f"subprocess.run(['curl', '-sS', '{http_server.url}'])"
    assert run(tmp_path, program, "--proxy", proxy.url(), "--native").stdout == PAGE.decode()
    assert len(proxy.sessions) == before


def test_what_proxychains4_cannot_be_told_is_said(proxy: RecordingProxy, tmp_path: Path) -> None:
    require("proxychains4")
    ended = run(tmp_path, "", "--proxy", proxy.url(), "--native", "--direct", "*.lan", "--route", "10.0.0.1=block")
    assert [line for line in ended.stderr.splitlines() if "native" in line] == [
        f"socksify: native: proxychains4 cannot be told the rule {rule!r}; what is under it goes through the proxy"
        for rule in ("10.0.0.1=block", "*.lan=direct")
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--proxy", "socks5h://localhost/run/proxy.sock"], "Unix sockets"),
        (["--proxy", "socks5h://u:a%20b@127.0.0.1:9"], "credentials"),
        (["--proxy", "127.0.0.1:9", "--no-children"], "expected children"),
        (["--embedded"], "exclude each other"),
    ],
)
def test_what_cannot_be_had_is_status_2(options: list[str], expected: str, tmp_path: Path) -> None:
    require("proxychains4")
    ended = run(tmp_path, "open('ran', 'w')", "--native", *options, status=2)
    assert expected in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "ran").exists()


def test_without_proxychains4_nothing_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(proxychains, "_LIBRARY_PATTERNS", (f"{tmp_path}/",))
    assert launch.main(["--native", "--proxy", "127.0.0.1:9", str(tmp_path / "missing.py")]) == 2
    assert "proxychains4 is not installed" in capsys.readouterr().err
