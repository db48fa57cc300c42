"""install() has failed and the program goes on: nothing of it goes direct, whatever it was that failed."""

from __future__ import annotations

import ast
import asyncio
import errno
import importlib
import os
import runpy
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import socksify
from socksify import _network_block
from socksify.patches import c_extensions, installation
from tests.support.bad_proxy import BadProxy
from tests.support.connecting_packages import loaded_module, write_package
from tests.support.environments import TEMPLATE
from tests.support.stepping import SECONDS
from tests.support.steps import good
from tests.support.targets import Target

URL = "socks5h://192.0.2.1:1080"
LOOPBACK = ["127.0.0.0/8=proxy"]
PACKAGE = Path(socksify.__file__).parent
# Modules of the standard library whose parts the patches need.
NEEDED = ("select", "socket", "_socket", "os", "selectors", "asyncio", "_posixsubprocess", "_thread")
# Methods of types, which no text shows.
METHODS = (
    "socket.socket.__init__",
    "socket.socket.accept",
    "socket.socket._real_close",
    "socket.socket.makefile",
    "_socket.socket.connect",
    "_socket.socket._accept",
    "_socket.socket.sendmsg",
    "_socket.socket.detach",
    "select.epoll.register",
    "select.epoll.poll",
)


pytestmark = pytest.mark.usefixtures("uninstalled")


@pytest.fixture
def target() -> Iterator[socket.socket]:
    """A listening socket, which nobody should reach."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


def is_reached(target: socket.socket) -> bool:
    try:
        target.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def refused(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno == errno.ENETDOWN and "install() has failed" in str(error)


def fails(**settings: object) -> None:
    with pytest.raises((socksify.ConfigError, OSError, ImportError, RuntimeError)):
        socksify.install(**settings)  # type: ignore[arg-type]


def test_the_modules_in_c_are_the_same_everywhere() -> None:
    """The hook and the file that starts it stand alone, so each has a copy of the table, or of a part of it."""
    hook = runpy.run_path(str(TEMPLATE / "socksify_hook" / "__init__.py"))
    assert hook["PAST"] == {*c_extensions.MODULES, *_network_block.IN_C}
    listed = ", ".join(f'"{name}"' for name in _network_block.IN_C)
    assert f"startswith(({listed}))" in (TEMPLATE / "sitecustomize.py").read_text()


WAYS = {
    "a setting": {"proxy": "gopher://x"},
    "none": {"proxy": ""},
    "the log": {"proxy": URL, "log": "/no/such/directory/log"},
    "a configuration": {"proxy": URL, "config": "/no/such/file.toml"},
}


@pytest.mark.parametrize("wrong", WAYS.values(), ids=WAYS)
def test_what_fails_closes_the_network(wrong: dict[str, object], echo_server: Target) -> None:
    before = dict(vars(socket.socket))
    fails(**wrong)
    for call in (
        lambda: socket.create_connection(echo_server.address),
        lambda: socket.getaddrinfo("name.example", 80),
        lambda: socket.gethostbyname("name.example"),
    ):
        with pytest.raises(OSError) as caught:
            call()
        assert refused(caught.value)
    with socket.socket() as sock, pytest.raises(OSError) as caught:
        sock.connect(("name.example", 80))
    assert refused(caught.value)
    socksify.uninstall()
    assert dict(vars(socket.socket)) == before
    socket.create_connection(echo_server.address).close()


def test_strict_that_comes_too_late_closes_the_network(
    monkeypatch: pytest.MonkeyPatch, echo_server: Target, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "somelib", loaded_module("somelib", write_package(tmp_path, "somelib")))
    with pytest.raises(ImportError, match="somelib"):
        socksify.install(URL, strict=True)
    with pytest.raises(OSError, match="somelib is imported already"):
        socket.create_connection(echo_server.address)


def test_what_was_open_before_sends_nothing_more_by_address(echo_server: Target) -> None:
    with (
        socket.socket() as stream,
        socket.socket(type=socket.SOCK_DGRAM) as datagrams,
        socket.socket(type=socket.SOCK_DGRAM) as receiver,
        socket.create_connection(echo_server.address) as connected,
    ):
        receiver.bind(("127.0.0.1", 0))
        receiver.setblocking(False)
        fails(proxy="gopher://x")
        for call in (
            lambda: stream.connect(echo_server.address),
            lambda: stream.connect_ex(echo_server.address),
            lambda: datagrams.sendto(b"x", receiver.getsockname()),
            lambda: datagrams.sendmsg([b"x"], [], 0, receiver.getsockname()),
            lambda: datagrams.connect(receiver.getsockname()),
            lambda: socket.SocketType(socket.AF_INET, socket.SOCK_STREAM).connect(echo_server.address),
        ):
            with pytest.raises(OSError) as caught:
                call()
            assert refused(caught.value)
        with pytest.raises(BlockingIOError):
            receiver.recv(1)
        # An open connection stays.
        connected.sendall(b"x")
        assert connected.recv(1) == b"x"


def test_unix_sockets_and_servers_stay(tmp_path: Path) -> None:
    fails(proxy="gopher://x")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(tmp_path / "server"))
        server.listen()
        client.connect(str(tmp_path / "server"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert listener.getsockname()[1]
    with socket.socket() as sock, pytest.raises(OSError) as caught:
        sock.bind(("name.example", 0))
    assert refused(caught.value)

    async def main() -> None:
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", 9)

    asyncio.run(main())


def test_an_install_that_succeeds_opens_it(echo_server: Target) -> None:
    before = dict(vars(socket.socket))
    with BadProxy(good("socks5"), good("socks5")) as proxy:
        for _ in range(2):
            fails(proxy="gopher://x")
            socksify.install(proxy.url(), routes=LOOPBACK)
            with socket.create_connection(echo_server.address) as sock:
                sock.sendall(b"ping")
                assert sock.recv(4) == b"ping"
            socksify.uninstall()
            assert dict(vars(socket.socket)) == before
            assert not _network_block.BLOCK.is_closed
        assert len(proxy.sessions) == 2


def test_settings_in_force_stay_in_force(echo_server: Target, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with BadProxy(good("socks5"), good("socks5")) as proxy:
        socksify.install(proxy.url(), routes=LOOPBACK)
        for wrong in WAYS.values():
            fails(**wrong)
        monkeypatch.setitem(sys.modules, "somelib", loaded_module("somelib", write_package(tmp_path, "somelib")))
        fails(proxy=URL, strict=True)
        monkeypatch.setattr(installation, "_hide_variables", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            socksify.install(URL)
        monkeypatch.undo()
        for _ in range(2):
            with socket.create_connection(echo_server.address) as sock:
                sock.sendall(b"ping")
                assert sock.recv(4) == b"ping"
        assert len(proxy.sessions) == 2


def test_a_password_is_not_in_what_is_raised_later() -> None:
    fails(proxy="socks5h://alice:open-sesame@192.0.2.1:port")
    with pytest.raises(OSError) as caught:
        socket.create_connection(("127.0.0.1", 9))
    assert "open-sesame" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


# What a program is made of that swallows whatever install() raises, and then tries all ways out.
SWALLOWS = """
import errno, os, socket, subprocess, sys
target = ("127.0.0.1", int(sys.argv[1]))
{before}
try:
    import socksify
    socksify.install("socks5h://127.0.0.1:" + sys.argv[2], routes=["127.0.0.0/8=proxy"])
except Exception as error:
    print(type(error).__name__, error)
else:
    print("installed")
{after}
def attempt():
    try:
        with socket.create_connection(target, timeout=20):
            return "connected"
    except OSError as error:
        return error.errno
print(attempt())
"""


def swallowing(
    tmp_path: Path, target: socket.socket, proxy: int, before: str = "", after: str = ""
) -> subprocess.CompletedProcess[str]:
    program = SWALLOWS.format(before=before, after=after)
    words = [sys.executable, "-c", program, str(target.getsockname()[1]), str(proxy)]
    return subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, cwd=tmp_path, check=False)


def test_modules_in_c_children_and_interpreters(tmp_path: Path, target: socket.socket) -> None:
    (tmp_path / "pycurl.py").write_text("")
    (tmp_path / "uvloop.py").write_text("")
    write_package(tmp_path, "somelib")
    after = """
import msgpack._cmsgpack
for name in ("pycurl", "uvloop", "somelib"):
    try:
        __import__(name)
    except ImportError as error:
        print("refused", name, "is closed" in str(error))
subprocess.run([sys.executable, "-c", ""])
subprocess.run([sys.executable, "-c", ""])
for name in ("_interpreters", "_xxsubinterpreters"):
    try:
        __import__(name).create()
    except (ImportError, OSError) as error:
        if "is closed" in str(error):
            print("no interpreter")
            break
"""
    got = swallowing(tmp_path, target, 9, "import _socket; del _socket.getnameinfo", after)
    lines = got.stdout.splitlines()
    assert lines[0].startswith("PatchError socksify cannot patch this Python")
    assert "getnameinfo" in lines[0]
    assert lines[1:] == [
        *(f"refused {name} True" for name in ("pycurl", "uvloop", "somelib")),
        "no interpreter",
        str(errno.ENETDOWN),
    ]
    named = [line for line in got.stderr.splitlines() if "is not covered" in line]
    assert len(named) == 1, got.stderr
    assert sys.executable in named[0]


def test_interpreters_that_could_be_made_before(tmp_path: Path, target: socket.socket) -> None:
    before = """
import _socket; del _socket.getnameinfo
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
"""
    after = """
try:
    interpreters.create()
except OSError as error:
    print("no interpreter", error.errno)
socksify.uninstall()
made = interpreters.create()
interpreters.destroy(made)
"""
    got = swallowing(tmp_path, target, 9, before, after)
    assert got.stdout.splitlines()[1:] == [f"no interpreter {errno.ENETDOWN}", "connected"], got


def test_what_cannot_be_closed_is_named(tmp_path: Path, target: socket.socket) -> None:
    (tmp_path / "pycurl.py").write_text("")
    got = swallowing(tmp_path, target, 9, "import pycurl, _socket; del _socket.getnameinfo")
    assert "pycurl cannot be closed" in got.stderr


def taken_names() -> Iterator[str]:
    """What _originals.py and the patches take from those modules, by the text of the source."""
    for file in (PACKAGE / "_originals.py", *sorted((PACKAGE / "patches").rglob("*.py"))):
        aliases: dict[str, str] = {}
        nodes = list(ast.walk(ast.parse(file.read_text())))
        for node in nodes:
            if isinstance(node, ast.Import):
                aliases |= {each.asname or each.name: each.name for each in node.names if each.name in NEEDED}
            elif isinstance(node, ast.ImportFrom) and node.module in NEEDED:
                yield from (f"{node.module}.{each.name}" for each in node.names)
        for node in nodes:
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
                yield f"{aliases[node.value.id]}.{node.attr}"
            elif isinstance(node, ast.Call) and [type(each) for each in node.args] == [ast.Name, ast.Constant]:
                # _original(_os, "execv")
                owner, name = node.args
                if owner.id in aliases:  # type: ignore[attr-defined]
                    yield f"{aliases[owner.id]}.{name.value}"  # type: ignore[attr-defined]


def exists(name: str) -> bool:
    module, _, attribute = name.partition(".")
    return hasattr(importlib.import_module(module), attribute)


TAKEN = sorted({name for name in taken_names() if exists(name)})
TAKE = """
import {module}, gc, sys
owner = {owner}
names = gc.get_referents(owner.__dict__)[0] if isinstance(owner, type) else vars(owner)
taken = names.pop("{name}")
if isinstance(owner, type):
    vars(type)["__abstractmethods__"].__set__(owner, ())
    vars(type)["__abstractmethods__"].__delete__(owner)
"""


@pytest.mark.parametrize("what", [*TAKEN, *METHODS])
def test_each_thing_that_is_taken_away(what: str, tmp_path: Path, target: socket.socket) -> None:
    """install() works without it, or says what it lacks; nothing that the program then opens goes direct."""
    owner, _, name = what.rpartition(".")
    before = TAKE.format(module=what.partition(".")[0], owner=owner, name=name)
    with BadProxy(good("socks5")) as proxy:
        got = swallowing(tmp_path, target, proxy.port, before)
        # What comes through the proxy comes once.
        assert is_reached(target) == bool(proxy.sessions), got
        assert not is_reached(target), got
        told, *_ = got.stdout.splitlines() or [""]
        if told != "installed":
            assert not proxy.sessions
            # The standard library may be what cannot do without it.
            assert told.startswith("PatchError socksify cannot patch this Python") or name in told + got.stderr, got
            assert name in told + got.stderr, got


def test_types_that_cannot_be_changed(tmp_path: Path, target: socket.socket) -> None:
    """A Python that hides the dict of its immutable types: the first that cannot be patched ends it all."""
    before = "import gc, select; gc.get_referents = lambda *_: [{}]; cls = select.epoll"
    immutable = bool(select.epoll.__flags__ & 1 << 8)
    with BadProxy(good("socks5")) as proxy:
        got = swallowing(tmp_path, target, proxy.port, before, "print(cls.register)")
        assert ("PatchError" in got.stdout) == immutable, got
        assert ("<method 'register' of 'select.epoll' objects>" in got.stdout) == immutable
        assert len(proxy.sessions) == (not immutable)


def test_a_python_that_nobody_knows_yet(tmp_path: Path, target: socket.socket) -> None:
    before = """
import collections
kind = collections.namedtuple("version_info", "major minor micro releaselevel serial")
sys.version_info = kind(3, 99, 0, "final", 0)
sys.hexversion = 0x036300f0
"""
    with BadProxy(good("socks5")) as proxy:
        got = swallowing(tmp_path, target, proxy.port, before)
        assert got.stdout.splitlines()[0] == "installed", got
        assert len(proxy.sessions) == 1


def test_the_launcher_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import _socket; del _socket.getnameinfo")
    words = [sys.executable, "-m", "socksify", "--proxy", URL, "-c", "print('runs')"]
    environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
    got = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, env=environ, check=False)
    assert (got.returncode, got.stdout) == (2, "")
    assert "nothing has started: socksify cannot patch this Python" in got.stderr
    assert got.stderr.startswith("socksify: ")
    assert "getnameinfo" in got.stderr
