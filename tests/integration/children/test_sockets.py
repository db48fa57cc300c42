"""A socket that is connecting through the proxy is sent to another process when it is connected, not before."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.bad_proxy import BadProxy
from tests.support.steps import HANG, READ_GREETING, READ_REQUEST, Send, Step, socks5_reply

PROGRAM = """
import multiprocessing, pickle, socket, sys

def read(sock, pipe):
    sock.settimeout(30)
    pipe.send(sock.recv(1))

if __name__ == "__main__":
    import socksify
    socksify.install(sys.argv[1], routes=["127.0.0.0/8=proxy"], c_watcher_timeout=float(sys.argv[2]))
    context = multiprocessing.get_context(sys.argv[3])
    sock = socket.socket()
    sock.setblocking(False)
    sock.connect_ex(("127.0.0.9", 80))
    try:
        pickle.dumps(sock)
    except (TypeError, OSError) as error:
        print(type(error).__name__)
    ours, theirs = context.Pipe()
    process = context.Process(target=read, args=(sock, theirs))
    try:
        process.start()
    except OSError as error:
        print(error)
        raise SystemExit
    print(ours.recv())
    process.join()
"""


def run(script: list[Step], seconds: float, method: str, directory: Path) -> str:
    (directory / "program.py").write_text(PROGRAM)
    with BadProxy(script) as proxy:
        ended = subprocess.run(
            [sys.executable, "program.py", proxy.url(), str(seconds), method],
            cwd=directory,
            env={"PATH": os.defpath, "HOME": str(directory), "TMPDIR": str(directory)},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert ended.stderr == ""
    return ended.stdout


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_it_is_waited_for(method: str, tmp_path: Path) -> None:
    script: list[Step] = [READ_GREETING, Send(b"\x05\x00"), READ_REQUEST, Send(socks5_reply(0) + b"x"), HANG]
    assert run(script, 30, method, tmp_path) == "TypeError\nb'x'\n"


def test_for_no_longer_than_for_an_outcome(tmp_path: Path) -> None:
    said = run([READ_GREETING, HANG], 0.2, "spawn", tmp_path)
    refused, reason = said.splitlines()
    assert refused == "TypeError"
    assert "the connection through the proxy is not there yet" in reason
