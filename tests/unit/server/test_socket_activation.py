"""Socket activation: another process, such as systemd, listens on a socket and passes it to the server."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from tests.support.paths import ROOT
from tests.support.running_sockd import PROGRAM, environment, sockd
from tests.support.targets import Target
from tests.unit.server import client
from tests.unit.server.sockd_runs import serve_one

# A program that executes sockd with a listening socket as descriptor 3, like systemd.
ACTIVATED = (
    sys.executable,
    "-c",
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ['LISTEN_PID'] = str(os.getpid());"
    "os.execvp(sys.argv[2], sys.argv[2:])",
)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_socket_that_was_passed_is_served(workers: str, echo_server: Target) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fd = listener.fileno()
        prefix = (*ACTIVATED, str(fd))
        with sockd("--workers", workers, prefix=prefix, pass_fds=(fd,), LISTEN_FDS="1") as server:
            assert server.address == listener.getsockname()
            serve_one(server, echo_server)


@pytest.mark.parametrize("abstract", [False, True])
def test_a_unix_socket_that_was_passed_is_served(abstract: bool, tmp_path: Path, echo_server: Target) -> None:
    path = f"\0socksify-test-{os.getpid()}" if abstract else str(tmp_path / "socks")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as stream:
        listener.bind(path)
        listener.listen()
        fd = listener.fileno()
        words = [*ACTIVATED, str(fd), *PROGRAM]
        variables = environment({"LISTEN_FDS": "1"})
        with subprocess.Popen(
            words, cwd=ROOT, pass_fds=(fd,), env=variables, stderr=subprocess.PIPE, text=True
        ) as child:
            stream.settimeout(20)
            stream.connect(path)
            assert client.ask(stream, 5, *echo_server.address) == 0
            stream.close()
            child.send_signal(signal.SIGHUP)
            child.terminate()
            _, said = child.communicate(timeout=20)
    assert "listening on {}\n".format(path.replace("\0", "@")) in said
    assert "local connect" in said
    assert "the configuration was read again" in said


def test_a_passed_socket_is_guarded_too() -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        fd = listener.fileno()
        words = [*ACTIVATED, str(fd), *PROGRAM]
        child = subprocess.run(
            words, cwd=ROOT, pass_fds=(fd,), env=environment({"LISTEN_FDS": "1"}), capture_output=True, timeout=60
        )
    assert child.returncode == 2
    assert b"0.0.0.0 is not a loopback address" in child.stderr


@pytest.mark.parametrize("kind", ["bound", "connected", "datagrams", "seqpacket", "file"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_is_passed_has_to_be_a_socket_that_listens(kind: str, workers: str, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        passed: socket.socket | IO[bytes]
        if kind == "connected":
            passed, _ = map(stack.enter_context, socket.socketpair())
        elif kind == "file":
            passed = stack.enter_context((tmp_path / "file").open("wb"))
        elif kind == "seqpacket":
            passed = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            passed.bind(str(tmp_path / "s"))
            passed.listen()
        else:
            type_of = {"bound": socket.SOCK_STREAM, "datagrams": socket.SOCK_DGRAM}
            passed = stack.enter_context(socket.socket(socket.AF_INET, type_of[kind]))
            passed.bind(("127.0.0.1", 0))
        words = [*ACTIVATED, str(passed.fileno()), *PROGRAM, "--workers", workers]
        child = subprocess.run(
            words,
            cwd=ROOT,
            pass_fds=(passed.fileno(),),
            env=environment({"LISTEN_FDS": "1"}),
            capture_output=True,
            text=True,
            timeout=10,
        )
    assert child.returncode == 2
    assert child.stderr == "sockd: descriptor 3, which was passed: expected a stream socket that listens\n"
