"""A hook that is on but cannot install: the network is closed, Python works, and the error gives advice."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.site.breaking import BROKEN, damage, removed
from tests.support import environments
from tests.support.environments import PROXY, Environment
from tests.support.targets import Target

LIBRARIES = sysconfig.get_path("platlib")


# One program for all calls: each line is one way to connect or to look up a name, and prints the result.
USES = """
import asyncio, contextlib, errno, os, socket, ssl, _socket, urllib.request
ADDRESS = ("127.0.0.1", int(os.environ["PORT"]))

async def stream():
    await asyncio.open_connection(*ADDRESS)

async def datagrams():
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=ADDRESS)

async def names():
    await asyncio.get_running_loop().getaddrinfo("name.example", 80)

async def sock_connect():
    with socket.socket() as s:
        s.setblocking(False)
        await asyncio.get_running_loop().sock_connect(s, ADDRESS)

def raw():
    _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM).connect(ADDRESS)

def below():
    _socket.socket.connect(socket.socket(), ADDRESS)

USES = [
    lambda: socket.create_connection(ADDRESS, 5),
    lambda: socket.socket().connect(ADDRESS),
    lambda: socket.socket().connect_ex(ADDRESS),
    lambda: socket.socket().connect(("name.example", 80)),
    lambda: socket.socket(socket.AF_INET6).connect(("::1", ADDRESS[1])),
    lambda: socket.socket(type=socket.SOCK_DGRAM).connect(ADDRESS),
    lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ADDRESS),
    lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", 0, ADDRESS),
    lambda: socket.socket(type=socket.SOCK_DGRAM).sendmsg([b"x"], [], 0, ADDRESS),
    lambda: socket.socket().bind(("name.example", 0)),
    lambda: socket.getaddrinfo("name.example", 80),
    lambda: socket.getaddrinfo("127.0.0.1", 80),
    lambda: socket.gethostbyname("localhost"),
    lambda: socket.gethostbyname_ex("name.example"),
    lambda: socket.gethostbyaddr("127.0.0.1"),
    lambda: socket.getnameinfo(("127.0.0.1", 80), 0),
    lambda: _socket.getaddrinfo("name.example", 80),
    lambda: ssl.create_default_context().wrap_socket(socket.socket(), server_hostname="x").connect(ADDRESS),
    lambda: urllib.request.urlopen(f"http://127.0.0.1:{ADDRESS[1]}", timeout=5),
    raw,
    below,
    lambda: asyncio.run(stream()),
    lambda: asyncio.run(datagrams()),
    lambda: asyncio.run(names()),
    lambda: asyncio.run(sock_connect()),
]
for use in USES:
    try:
        print("REACHED", use())
    except OSError as error:
        told = error.reason if hasattr(error, "reason") else error
        print(told.errno == errno.ENETDOWN, "the network is closed: " in str(told), "SOCKSIFY_DISABLE=1" in str(told))
"""


def test_whatever_connects_or_looks_up(broken: Environment, http_server: Target) -> None:
    """Direct connections are refused as well: without the settings nobody knows which ones are direct."""
    result = broken.run("-W", "ignore", "-c", USES, PORT=str(http_server.port))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == ["True True True"] * USES.count("\n    lambda") + ["True True True"] * 2


# These modules connect in C. A working hook covers all of them but the last.
PAST = ["zmq", "uvloop", "pycares", "gevent.resolver.cares", "psycopg2"]
IMPORT = """
import importlib, sys
try:
    importlib.import_module({name!r})
except ImportError as error:
    print(error)
"""


@pytest.mark.parametrize("name", PAST)
@pytest.mark.parametrize("first", ["", "import socket"])
def test_what_would_connect_past_it_is_not_imported(broken: Environment, name: str, first: str) -> None:
    program = f"{first}\n{IMPORT.format(name=name)}"
    told = broken.code(program, PYTHONPATH=LIBRARIES)
    assert "socksify: the network is closed: " in told and "settings.toml: Invalid value" in told
    assert broken.code(program, PYTHONPATH=LIBRARIES, SOCKSIFY_DISABLE="1") == ""
    opened = f"import socksify; socksify.install('{PROXY}')\n{IMPORT.format(name=name)}"
    assert broken.run("-W", "ignore", "-c", opened, PYTHONPATH=LIBRARIES).stdout == ""


@pytest.mark.parametrize("name", PAST[:-1])
@pytest.mark.parametrize("damaged", ["import_watch.py", "installer.py", "__init__.py"])
def test_nor_where_the_hook_itself_is_damaged(environment: Environment, name: str, damaged: str) -> None:
    environment.install("--proxy", PROXY)
    damage(environment.hook / damaged, None)
    assert "the network is closed: " in environment.code(IMPORT.format(name=name), PYTHONPATH=LIBRARIES)


@pytest.mark.parametrize("name", PAST[:-1])
def test_nor_behind_half_a_directory_on_pythonpath(environment: Environment, template: Path, name: str) -> None:
    damage(template / "socksify_hook" / "__init__.py", None)
    path = f"{template}{os.pathsep}{LIBRARIES}"
    assert "needs socksify_hook/ beside it" in environment.code(IMPORT.format(name=name), PYTHONPATH=path)


def test_what_stays_on_the_machine(broken: Environment, tmp_path: Path) -> None:
    program = """
import asyncio, socket
one, other = socket.socketpair()
one.sendall(b"x"), other.recv(1)
with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
    listener.bind("socket"), listener.listen()
    client.connect("socket")
    listener.accept()[0].close()
with socket.socket() as server, socket.socket(socket.AF_INET6) as server6:
    server.bind(("127.0.0.1", 0)), server.listen(), server6.bind(("::1", 0))
with socket.socket(type=socket.SOCK_DGRAM) as server:
    server.bind(("", 0))
socket.gethostname()
asyncio.run(asyncio.sleep(0))
print("fine")
"""
    result = broken.run("-c", program, cwd=tmp_path)
    assert (result.stdout, result.stderr) == ("fine\n", "")


@pytest.mark.parametrize(("break_it", "reason"), BROKEN.values(), ids=BROKEN)
def test_each_reason_is_told(environment: Environment, break_it: Callable[[Environment], None], reason: str) -> None:
    environment.install("--proxy", PROXY)
    break_it(environment)
    program = """
import socket
try:
    socket.create_connection(("127.0.0.1", 9))
except OSError as error:
    print(error)
"""
    told = environment.code(program)
    assert told.startswith("[Errno 100] socksify: the network is closed: ")
    assert reason in told
    assert told.endswith(f"or delete {environment.hook} and {environment.hook}.*")
    assert (f"{environment.python} -m socksify site uninstall, or" in told) == (break_it is not removed)
    assert "secret" not in told


def test_the_traceback_has_the_cause(broken: Environment) -> None:
    result = broken.run("-c", "import socket; socket.create_connection(('127.0.0.1', 9))")
    assert result.returncode == 1
    assert "ConfigError: " in result.stderr
    assert result.stderr.splitlines()[-1].startswith("OSError: [Errno 100] socksify: the network is closed")


def test_the_interpreter_goes_on(broken: Environment) -> None:
    assert broken.code("pass") == ""
    assert broken.code("import socket, asyncio, ssl, http.server") == ""


def test_pip_goes_on(broken: Environment) -> None:
    import pip

    (broken.packages / "pip").symlink_to(Path(pip.__file__).parent)
    assert broken.code("import pip; print(pip.__version__)") == pip.__version__
    version = broken.run("-m", "pip", "--version")
    assert (version.returncode, version.stderr) == (0, "")
    assert version.stdout.startswith(f"pip {pip.__version__} ")
    assert broken.run("-m", "pip", "list").returncode == 0


def test_a_python_that_it_does_not_close_is_named(broken: Environment, environment: Environment) -> None:
    program = """
import os, socket, subprocess, sys
for python in (sys.executable, os.path.realpath(sys.executable), os.path.realpath(sys.executable)):
    subprocess.run([python, "-c", ""], check=True)
"""
    named = f"socksify: the child {os.path.realpath(sys.executable)} is not covered: the network is closed in this"
    assert broken.run("-c", program).stderr.startswith(named)
    assert broken.run("-c", program).stderr.count("socksify") == 1
    assert environment.run("-m", "socksify", "site", "uninstall").stderr == ""
    program = """
import socket, subprocess, sys
subprocess.run([sys.executable, "-c", ""], check=True)
print(file=sys.stderr, flush=True)
subprocess.run([sys.executable, "-c", ""], check=True, env={})
"""
    on_path = {"PYTHONPATH": str(environments.TEMPLATE), "SOCKSIFY_PROXI": PROXY}
    first, second = environment.run("-c", program, **on_path).stderr.split("\n", 1)
    assert (first, second.startswith(f"socksify: the child {environment.python} is not covered")) == ("", True)
