"""What is said about a Python that is not covered is followed: then it is covered."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from tests.integration.children.recording_proxy import RecordingProxy
from tests.support.paths import ROOT

LOOPBACK = ["--route", "127.0.0.0/8=proxy"]
CONNECT = """
import socket
with socket.create_connection(({!r}, 80), timeout=30) as stream:
    stream.sendall(b'GET')
    print(stream.recv(1000).decode()[-7:])
"""


def run(
    directory: Path, proxy: RecordingProxy, child: list[str], code: str, *options: str
) -> subprocess.CompletedProcess[str]:
    """Run a program that starts a child with this code."""
    program = f"import subprocess; subprocess.run({[*child, '-c', code]}, check=True)"
    words = [sys.executable, "-m", "socksify", "--proxy", proxy.url(), *LOOPBACK, *options, "-c", program]
    environ = {"PATH": os.defpath, "HOME": str(directory)}
    return subprocess.run(words, cwd=directory, env=environ, capture_output=True, text=True, timeout=60, check=True)


def is_covered(proxy: RecordingProxy, name: str, ended: subprocess.CompletedProcess[str]) -> bool:
    return (ended.stdout, ended.stderr, proxy.asked_for(name)) == ("covered\n", "", 1)


def test_without_the_option_that_keeps_the_hook_out(proxy: RecordingProxy, tmp_path: Path) -> None:
    named = run(tmp_path, proxy, [sys.executable, "-S"], "")
    assert named.stderr.endswith("; start it without -S\n") and named.stderr.count("\n") == 1
    name = "without-s.example"
    assert is_covered(proxy, name, run(tmp_path, proxy, [sys.executable], CONNECT.format(name)))


def test_with_children(proxy: RecordingProxy, tmp_path: Path) -> None:
    named = run(tmp_path, proxy, [sys.executable], "", "--no-children")
    assert named.stderr.endswith("; children=True covers it\n") and named.stderr.count("\n") == 1
    name = "with-children.example"
    assert is_covered(proxy, name, run(tmp_path, proxy, [sys.executable], CONNECT.format(name)))


def test_with_the_hook(proxy: RecordingProxy, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True, timeout=60)
    python = str(tmp_path / "venv" / "bin" / "python")
    (packages,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (packages / "socksify.pth").write_text(f"{ROOT}\n")
    named = run(tmp_path, proxy, [python, "-I"], "")
    advised = named.stderr.partition("`")[2].partition("` covers it\n")[0]
    assert advised == f"socksify site install --python {python}"
    install = [sys.executable, "-m", *shlex.split(advised), "--proxy", proxy.url(), *LOOPBACK]
    subprocess.run(install, check=True, timeout=60, stdout=subprocess.DEVNULL)
    name = "with-the-hook.example"
    assert is_covered(proxy, name, run(tmp_path, proxy, [python, "-I"], CONNECT.format(name)))
