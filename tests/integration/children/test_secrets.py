"""A child is given the password of the proxy, however late it starts. If it cannot read it, its network is closed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.children.recording_proxy import RecordingProxy

PASSWORD = "S3cr3t-pass-w0rd"
CHILD = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], 1), timeout=30) as stream:
        stream.sendall(b"GET")
        print(stream.recv(1000)[-7:].decode())
except OSError as error:
    print(error)
"""
# A program that is no Python, outlives who has started it, and starts a Python when it is told to.
DAEMON = """
import os, subprocess, sys
os.mkfifo("go")
sh = "read line < go; exec {} child.py daemon.example > said 2>&1"
subprocess.Popen(["setsid", "sh", "-c", sh.format(sys.executable)], env={ENV}, stdout=-3, stderr=-3)
"""


def launch(program: str, proxy: RecordingProxy, directory: Path) -> subprocess.CompletedProcess[str]:
    (directory / "child.py").write_text(CHILD)
    (directory / "program.py").write_text(program)
    (directory / "config").write_text(f'proxy = "{proxy.url().replace("://", f"://joe:{PASSWORD}@")}"')
    runtime = directory / "runtime"
    runtime.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-m", "socksify", "--config", "config", "program.py"],
        cwd=directory,
        env={"PATH": os.defpath, "HOME": str(directory), "XDG_RUNTIME_DIR": str(runtime)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )


def told_to_go(directory: Path) -> str:
    """Return what the daemon's child has written in the end."""
    with open(directory / "go", "w") as go:
        go.write("\n")
    code = f"import os\nwhile not os.path.exists({str(directory / 'said')!r}) or not open('said').read(): pass"
    subprocess.run([sys.executable, "-c", code], cwd=directory, timeout=60, check=True)
    return (directory / "said").read_text()


@pytest.mark.parametrize("env", ["None", "{}", "{'PATH': os.defpath}"])
def test_a_child_of_a_program_that_outlives_its_parent(env: str, proxy: RecordingProxy, tmp_path: Path) -> None:
    before = proxy.asked_for("daemon.example")
    launch(DAEMON.replace("{ENV}", env), proxy, tmp_path)
    assert told_to_go(tmp_path) == "covered\n"
    assert proxy.asked_for("daemon.example") == before + 1


def test_one_that_can_no_longer_read_it_is_closed(proxy: RecordingProxy, tmp_path: Path) -> None:
    before = proxy.asked_for("daemon.example")
    launch(DAEMON.replace("{ENV}", "None"), proxy, tmp_path)
    shutil.rmtree(tmp_path / "runtime")
    said = told_to_go(tmp_path)
    assert (
        "the network is closed" in said and "the credentials that the parent process passed on cannot be read" in said
    )
    assert PASSWORD not in said
    assert proxy.asked_for("daemon.example") == before


def test_who_starts_another_makes_sure_that_it_can(proxy: RecordingProxy, tmp_path: Path) -> None:
    """It does not matter who has removed the key."""
    program = f"""
import shutil, subprocess, sys
shutil.rmtree({str(tmp_path / "runtime")!r} + "/" + __import__("os").listdir("runtime")[0])
subprocess.run([sys.executable, "child.py", "remade.example"], check=True)
"""
    assert launch(program, proxy, tmp_path).stdout == "covered\n"


def test_nothing_is_left_of_the_password(proxy: RecordingProxy, tmp_path: Path) -> None:
    launch("import subprocess, sys; subprocess.run([sys.executable, 'child.py', 'left.example'])", proxy, tmp_path)
    files = [file for file in (tmp_path / "runtime").rglob("*") if file.is_file()]
    assert len(files) == 1
    assert PASSWORD.encode() not in files[0].read_bytes()
