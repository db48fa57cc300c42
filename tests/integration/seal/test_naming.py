"""What no patch reaches is named, with the seal as the advice. Who follows it is proxied, and nothing is named then."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.children.recording_proxy import RecordingProxy
from tests.support.connecting_packages import file_of, write_package
from tests.support.processes import require, unavailable

PYTHON = "python -m socksify --seal=on"


@pytest.fixture(scope="module")
def proxy() -> Iterator[RecordingProxy]:
    with RecordingProxy() as proxy:
        yield proxy


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory with a package and a library that connect, and a program that is not known to be harmless."""
    write_package(tmp_path, "somelib")
    shutil.copy(file_of("pycares._cares"), tmp_path / "libfar.so")
    shutil.copy("/bin/true", tmp_path / "connector")
    return tmp_path


def run(options: Sequence[str], program: str, directory: Path) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.defpath, "HOME": str(directory), "PYTHONPATH": str(directory)}
    command = [sys.executable, "-m", "socksify", *options, "-c", program]
    return subprocess.run(command, cwd=directory, env=environ, capture_output=True, text=True, timeout=60)


def sealed(proxy: RecordingProxy, program: str, directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a program as the advice says."""
    ended = run([*PYTHON.split()[3:], "--proxy", proxy.url(), *options], program, directory)
    if ended.returncode == 2:
        unavailable(ended.stderr)
    return ended


@dataclass(frozen=True)
class Way:
    """A way past the patches: a program that is named, and one that connects to `{name}` in this way."""

    named: str
    connects: str
    needs: str = ""


PSYCOPG2 = """
import psycopg2
try:
    psycopg2.connect(host="{name}", user="x", connect_timeout=30)
except psycopg2.OperationalError:
    print("covered", end="")
"""
LIBC = """
import ctypes
libc = ctypes.CDLL(None)
found = ctypes.c_void_p()
assert libc.getaddrinfo(b"{name}", b"80", None, ctypes.byref(found)) == 0
class AddressInfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("flags", "family", "type", "protocol")]
    _fields_ += [("length", ctypes.c_uint), ("address", ctypes.c_void_p)]
info = AddressInfo.from_address(found.value)
sock = libc.socket(info.family, 1, 0)
assert libc.connect(sock, ctypes.c_void_p(info.address), info.length) == 0
assert libc.send(sock, b"GET", 3, 0) == 3
answer = ctypes.create_string_buffer(1000)
assert libc.recv(sock, answer, 1000, 0) > 0
print(answer.value.decode()[-7:], end="")
"""
CURL = "import subprocess; subprocess.run(['curl', '-sS', '-m', '30', 'http://{name}/'])"
SHELL = "import os; os.system('curl -sS -m 30 http://{name}/')"
WAYS = {
    "module": Way("import somelib", PSYCOPG2),
    "library": Way("import ctypes; ctypes.CDLL('./libfar.so')", LIBC),
    "child": Way("import subprocess; subprocess.run(['./connector'])", CURL, "curl"),
    "shell": Way("import os; os.system('./connector')", SHELL, "curl"),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_advice_is_followed(way: str, proxy: RecordingProxy, directory: Path) -> None:
    if WAYS[way].needs:
        require(WAYS[way].needs)
    named = run(["--seal=off", "--proxy", proxy.url()], WAYS[way].named, directory)
    assert named.stderr.count(f"start the program with {PYTHON}") == named.stderr.count("\n") == 1, named.stderr
    name = f"{way}.example"
    ended = sealed(proxy, WAYS[way].connects.format(name=name), directory)
    assert (ended.stdout, ended.stderr) == ("covered", "")
    assert proxy.asked_for(name) == 1


RAW = "import _socket; _socket.socket(); print('went on')"


@pytest.mark.parametrize("program", [*(way.named for way in WAYS.values()), RAW], ids=[*WAYS, "raw socket"])
def test_nothing_is_named_or_refused_in_a_seal(program: str, proxy: RecordingProxy, directory: Path) -> None:
    for options in ([], ["--strict"]):
        ended = sealed(proxy, f"{program}\nprint('ended')", directory, *options)
        assert (ended.returncode, ended.stdout.splitlines()[-1], ended.stderr) == (0, "ended", "")


PYTHONS = {"without the hook": "'-I', ", "without its modules": "'-S', ", "without settings": ""}


@pytest.mark.parametrize("options", PYTHONS.values(), ids=PYTHONS)
def test_no_python_is_named_or_refused_in_a_seal(options: str, proxy: RecordingProxy, directory: Path) -> None:
    program = f"import subprocess, sys; subprocess.run([sys.executable, {options}'-c', ''], check=True)"
    ended = sealed(proxy, program, directory, "--strict", "--no-children")
    assert (ended.returncode, ended.stderr) == (0, "")


EARLY = """
import socket, functools
kept = functools.partial(socket.getaddrinfo)
import somelib, socksify
socksify.install({url!r}, strict=True, udp="direct")
import _socket
_socket.socket()
print("ended")
"""


def test_what_came_before_install_is_not_named_in_a_seal(proxy: RecordingProxy, directory: Path) -> None:
    """The sealed program is started without our patches: by a Python that ignores PYTHONPATH."""
    (directory / "early.py").write_text(EARLY.format(url=proxy.url()))
    start = (
        "import os, sys; os.environ['SOCKSIFY_DISABLE'] = '1'; os.execv(sys.executable, [sys.executable, 'early.py'])"
    )
    ended = sealed(proxy, start, directory, "--no-children")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ended\n", "")
