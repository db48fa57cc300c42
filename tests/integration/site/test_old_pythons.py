"""A covered program starts a Python that is too old for the package: it is reported once, and closed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.environments import PROXY, TEMPLATE, Environment, Result
from tests.support.paths import ROOT

VERSIONS = ("3.6", "3.7", "3.8", "3.9", "3.10")


def found(version: str) -> str:
    """The path of a Python of that version, from pyenv; empty if there is none."""
    root = subprocess.run("pyenv root 2>/dev/null", shell=True, capture_output=True, text=True).stdout.strip()
    places = [*Path(root, "versions").glob(f"{version}.*/bin/python")] if root else []
    for place in (*map(str, sorted(places)), shutil.which(f"python{version}")):
        if place and subprocess.run([place, "-c", ""], capture_output=True).returncode == 0:
            return place
    return ""


OLD = {version: python for version in VERSIONS if (python := found(version))}
# This Python stands in where it says of itself that it is too old; and as one that has no audit hooks, as before 3.8.
STAND_INS = {"too old": "OLDEST = (9, 9)", "too old, without audit hooks": "OLDEST = (9, 9)\ndel sys.addaudithook"}
# Calls that connect or look up names. All of them exist in Python 3.6.
USES = """
import _socket, asyncio, errno, os, socket, ssl, urllib.request
ADDRESS = ("127.0.0.1", 9)
def run(coroutine):
    asyncio.new_event_loop().run_until_complete(coroutine)
for use in [
    lambda: socket.create_connection(ADDRESS, 5),
    lambda: socket.socket().connect(ADDRESS),
    lambda: socket.socket().connect_ex(ADDRESS),
    lambda: socket.socket().connect(("name.example", 80)),
    lambda: socket.socket(type=socket.SOCK_DGRAM).connect(ADDRESS),
    lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ADDRESS),
    lambda: socket.socket(type=socket.SOCK_DGRAM).sendmsg([b"x"], [], 0, ADDRESS),
    lambda: socket.getaddrinfo("name.example", 80),
    lambda: socket.gethostbyname("localhost"),
    lambda: socket.gethostbyname_ex("name.example"),
    lambda: socket.gethostbyaddr("127.0.0.1"),
    lambda: socket.getnameinfo(("127.0.0.1", 80), 0),
    lambda: _socket.getaddrinfo("name.example", 80),
    lambda: _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM).connect(ADDRESS),
    lambda: _socket.socket.connect(socket.socket(), ADDRESS),
    lambda: socket.SocketType(socket.AF_INET, socket.SOCK_STREAM).connect(ADDRESS),
    lambda: ssl.create_default_context().wrap_socket(socket.socket(), server_hostname="x").connect(ADDRESS),
    lambda: urllib.request.urlopen("http://127.0.0.1:9", timeout=5),
    lambda: run(asyncio.open_connection(*ADDRESS)),
]:
    try:
        print("REACHED", use())
    except OSError as error:
        told = error.reason if hasattr(error, "reason") and not isinstance(error.reason, str) else error
        if told.errno != errno.ENETDOWN or "is too old for socksify" not in str(told):
            print("REACHED", repr(error))
one, other = socket.socketpair()
one.sendall(b"x"), other.recv(1)
try:
    import uvloop
except ImportError as error:
    print("uvloop", "is too old for socksify" in str(error))
print("done")
"""


@pytest.fixture
def libraries(tmp_path: Path) -> Path:
    (tmp_path / "libraries").mkdir()
    (tmp_path / "libraries" / "uvloop.py").touch()
    return tmp_path / "libraries"


@pytest.fixture(params=[*OLD, *STAND_INS])
def old(request: pytest.FixtureRequest, template: Path) -> tuple[str, Path]:
    """A Python, and the directory by which it finds the hook."""
    if request.param in OLD:
        return OLD[request.param], TEMPLATE
    hook = template / "socksify_hook" / "__init__.py"
    hook.write_text(hook.read_text().replace("OLDEST = (3, 11)", STAND_INS[request.param]))
    return sys.executable, template


def run(old: tuple[str, Path], code: str, libraries: Path, **variables: str) -> Result:
    python, template = old
    environ = {"PATH": os.defpath, "PYTHONPATH": f"{template}:{libraries}", "SOCKSIFY_PROXY": PROXY} | variables
    return subprocess.run(
        [python, "-W", "ignore", "-c", code], env=environ, capture_output=True, text=True, timeout=60, cwd=libraries
    )


def test_it_is_named_once_and_closed(old: tuple[str, Path], libraries: Path) -> None:
    result = run(old, USES, libraries)
    assert result.stdout.splitlines() == ["uvloop True", "done"], result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"socksify: {old[0]}: Python 3.")
    assert "is too old for socksify, which needs 3.11 or later; its network is closed. To go w" in result.stderr


def test_it_goes_on_without_a_network(old: tuple[str, Path], libraries: Path) -> None:
    result = run(
        old, "import os, json, subprocess; subprocess.call(['true']); print('PYTHONPATH' in os.environ)", libraries
    )
    assert (result.stdout, result.stderr, result.returncode) == ("True\n", "", 0)


@pytest.mark.parametrize("environ", ["None", "dict(os.environ)"])
def test_its_children_are_told_as_well(old: tuple[str, Path], libraries: Path, environ: str) -> None:
    inner = "import socket; socket.create_connection(('127.0.0.1', 9))"
    outer = f"import os, socket, subprocess, sys; subprocess.call([sys.executable, '-c', {inner!r}], env={environ})"
    result = run(old, outer, libraries)
    assert "OSError: [Errno 100] socksify: the network is closed: Python 3." in result.stderr


def test_what_the_message_says_is_done(old: tuple[str, Path], libraries: Path) -> None:
    code = "import socket; socket.create_connection(('127.0.0.1', 9))"
    advised = run(old, code, libraries).stderr
    assert f"To go without: SOCKSIFY_DISABLE=1, or take {old[1]} off PYTHONPATH" in advised
    assert "ConnectionRefusedError" in run(old, code, libraries, SOCKSIFY_DISABLE="1").stderr
    assert "ConnectionRefusedError" in run(old, code, libraries, PYTHONPATH="").stderr
    assert "ConnectionRefusedError" in run(old, code, libraries, SOCKSIFY_ON_ERROR="allow").stderr
    assert run(old, code, libraries, SOCKSIFY_ON_ERROR="exit").returncode == 2


@pytest.mark.parametrize(
    "damaged", ["sitecustomize", "import_watch.py", "installer.py", "network_block.py", "__init__.py"]
)
def test_a_hook_that_is_damaged_closes_too(
    old: tuple[str, Path], libraries: Path, tmp_path: Path, damaged: str
) -> None:
    python, template = old
    copy = shutil.copytree(template, tmp_path / "damaged")
    if damaged == "sitecustomize":
        shutil.rmtree(copy / "socksify_hook")
    else:
        (copy / "socksify_hook" / damaged).write_text("1 / 0")
    code = "import socket\nprint(socket.create_connection(('127.0.0.1', 9)))"
    result = run((python, copy), code, libraries)
    assert "ConnectionRefused" not in result.stderr
    assert "OSError: [Errno 100] socksify: " in result.stderr


def test_a_child_of_a_covered_program(old: tuple[str, Path]) -> None:
    """The launcher's switch has no effect on it; the advice of the message has."""
    python, _ = old
    if python == sys.executable:
        python = next(iter(OLD.values()), "")
    code = "import socket; socket.create_connection(('127.0.0.1', 9))"
    for environ, options, said in (
        ("{}", (), "the network is closed: Python 3."),
        ("{'SOCKSIFY_DISABLE': '1'}", (), "ConnectionRefusedError"),
        ("{}", ("--no-children",), "ConnectionRefusedError"),
    ):
        if not python:
            break
        program = f"import subprocess; subprocess.call([{python!r}, '-c', {code!r}], env={environ})"
        words = [sys.executable, "-m", "socksify", "--proxy", PROXY, *options, "-c", program]
        result = subprocess.run(words, env={"PATH": os.defpath}, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert said in result.stderr
        if "closed" in said:
            assert "SOCKSIFY_DISABLE=1 in the environment that the program gives this child, or --no-" in result.stderr


def test_the_hook_of_an_environment_is_never_that_of_one(environment: Environment) -> None:
    """`site install` requires Python 3.11."""
    for python in OLD.values():
        result = environment.site("install", "--python", python, "--proxy", PROXY)
        assert result.returncode == 2
        assert "socksify needs 3.11 or later" in result.stderr
