"""A process that is started inside a block of via() goes by the block's proxy, by every start method."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.children.recording_proxy import RecordingProxy
from tests.support.paths import ROOT

SECONDS = 60
CHILD = """
import socket, sys

def connect(name):
    try:
        with socket.create_connection((name, 1), timeout=30) as stream:
            stream.sendall(b"GET")
            stream.recv(100)
    except PermissionError:
        print(f"{name} blocked", flush=True)

if __name__ == "__main__":
    connect(sys.argv[1])
"""
# Each starts child.py, which connects to `name`.
START_METHODS = {
    "env": "subprocess.run([PY, CHILD, name], env={}, check=True)",
    "system": "assert os.system(f'{PY} {CHILD} {name}; exit 3') == 3 << 8",
    "execv": "os.fork() or os.execv(PY, [PY, CHILD, name]); os.wait()",
    "asyncio": "asyncio.run(started(name))",
    "uvloop": "uvloop.run(started(name))",
    "spawn": "process('spawn', name)",
    "forkserver": "process('forkserver', name)",
}
PROGRAM = """
import asyncio, multiprocessing, os, subprocess, sys, uvloop
import child, socksify

PY, CHILD = sys.executable, child.__file__

async def started(name):
    await (await asyncio.create_subprocess_exec(PY, CHILD, name)).wait()

def process(method, name):
    made = multiprocessing.get_context(method).Process(target=child.connect, args=(name,))
    made.start()
    made.join()

def start(name):
    {way}

if __name__ == "__main__":
    start("before.example")
    with socksify.via(sys.argv[1]):
        start("inside.example")
    with socksify.via("block"):
        start("blocked.example")
    start("after.example")
"""


@pytest.fixture
def other() -> Iterator[RecordingProxy]:
    with RecordingProxy() as proxy:
        yield proxy


def targets(proxy: RecordingProxy) -> list[str]:
    return [session.target[0] for session in proxy.sessions if session.target is not None]


@pytest.mark.parametrize("method", START_METHODS.values(), ids=START_METHODS)
def test_a_child_goes_the_way_of_its_block(method: str, other: RecordingProxy, tmp_path: Path) -> None:
    (tmp_path / "child.py").write_text(CHILD)
    (tmp_path / "program.py").write_text(PROGRAM.format(way=method))
    with RecordingProxy() as proxy:
        said = launched(proxy, tmp_path, "program.py", other.url())
        assert (targets(proxy), targets(other)) == (["before.example", "after.example"], ["inside.example"])
    assert said == "blocked.example blocked\n"


def launched(proxy: RecordingProxy, directory: Path, *words: str) -> str:
    command = [sys.executable, "-m", "socksify", "--proxy", proxy.url(), "--log", "log", *words]
    environ = {"PATH": os.defpath, "HOME": str(directory), "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        command, cwd=directory, env=environ, stdout=subprocess.PIPE, text=True, timeout=SECONDS, check=True
    )
    return ended.stdout
