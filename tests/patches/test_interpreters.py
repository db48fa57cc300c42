"""Subinterpreters, which have modules of their own: in processes of their own, as not every module bears several."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROXY = "socks5h://127.0.0.1:9"
PROGRAM = f"""
import socksify
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
CONNECT = '''
import socket
try:
    socket.create_connection(("203.0.113.9", 80), 5)
except OSError as error:
    print(error, flush=True)
'''
original = interpreters.create
socksify.install({PROXY!r})
{{body}}
"""
BODIES = {
    "made after it": "interpreters.run_string(interpreters.create(), CONNECT)",
    "several, and the main": "for _ in 'ab': interpreters.run_string(interpreters.create(), CONNECT)\nexec(CONNECT)",
    "inside of a block": "with socksify.via('direct'): interpreters.run_string(interpreters.create(), CONNECT)",
}


def run(body: str, directory: Path) -> list[str]:
    """What it prints; it has to end well."""
    command = [sys.executable, "-c", PROGRAM.format(body=body)]
    # What the program has been told else, its settings outrank.
    environ = {"PATH": os.defpath, "HOME": str(directory), "SOCKSIFY_PROXY": "socks5h://127.0.0.1:8"}
    ended = subprocess.run(command, cwd=directory, env=environ, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_each_goes_through_the_proxy(body: str, tmp_path: Path) -> None:
    said = run(body, tmp_path)
    assert said and all(f"proxy {PROXY} for 203.0.113.9:80" in line for line in said)


def test_one_without_the_hook_is_not_made(tmp_path: Path) -> None:
    body = """
from socksify.patches.children import passing
passing.template = lambda: "/nowhere"
before = len(interpreters.list_all())
try:
    interpreters.create()
except RuntimeError as error:
    print(error, len(interpreters.list_all()) - before)
"""
    (line,) = run(body, tmp_path)
    assert "No module named 'socksify_hook'" in line and line.endswith(" 0")


def test_uninstall_ends_it(tmp_path: Path) -> None:
    body = "socksify.uninstall(); print(interpreters.create is original)"
    assert run(body, tmp_path) == ["True"]
