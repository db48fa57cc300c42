"""A hook that is on and broken: the network is closed, the interpreter is not, and the error says what to do."""

from __future__ import annotations

import json
import os
import shutil
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

import socksify
from tests.support import environments
from tests.support.environments import PROXY, STATE, Environment
from tests.support.paths import ROOT
from tests.support.targets import Target

LIBRARIES = sysconfig.get_path("platlib")


def corrupt(environment: Environment) -> None:
    (environment.hook / "settings.toml").write_text("proxy = [")


def unknown(environment: Environment) -> None:
    (environment.hook / "settings.toml").write_text('proxi = "socks5h://alice:secret@gw"\n')


def unusable(environment: Environment) -> None:
    (environment.hook / "settings.toml").write_text('proxy = "gopher://alice:secret@gw"\n')


def unreadable(environment: Environment) -> None:
    """As it is for other users, which root is to be, too."""
    (environment.hook / "settings.toml").unlink()
    (environment.hook / "settings.toml").mkdir()


def dangling(environment: Environment) -> None:
    (environment.hook / "settings.toml").unlink()
    (environment.hook / "settings.toml").symlink_to("settings.toml")


def removed(environment: Environment) -> None:
    (environment.packages / "_socksify.pth").unlink()


def another_format(environment: Environment) -> None:
    other = shutil.copytree(ROOT / "socksify", environment.packages / "socksify")
    (other / "_hook_location.py").write_text(
        (other / "_hook_location.py").read_text().replace("FORMATS = (1,)", "FORMATS = (7, 8)")
    )


def a_package_without_formats(environment: Environment) -> None:
    other = shutil.copytree(ROOT / "socksify", environment.packages / "socksify")
    (other / "_hook_location.py").write_text(
        (other / "_hook_location.py").read_text().replace("FORMATS", "_NO_FORMATS")
    )


def damaged(environment: Environment) -> None:
    other = shutil.copytree(ROOT / "socksify", environment.packages / "socksify")
    (other / "routing" / "router.py").write_text("1 / 0\n")


NOT_SERVED = f"the hook has format 1, which socksify {socksify.__version__} does not serve"
BROKEN: dict[str, tuple[Callable[[Environment], None], str]] = {
    "corrupt settings": (corrupt, "settings.toml: Invalid value"),
    "an unknown key": (unknown, "settings.toml: 'proxi': no such key"),
    "a proxy that cannot be": (unusable, "settings.toml: proxy: 'gopher://***@gw'"),
    "unreadable settings": (unreadable, "settings.toml: Is a directory"),
    "settings behind a link to nowhere": (dangling, "settings.toml: Too many levels of symbolic links"),
    "a package that was removed": (removed, "the package socksify is not there"),
    "another format": (another_format, NOT_SERVED),
    "an older package": (
        a_package_without_formats,
        NOT_SERVED,
    ),
    "a damaged package": (damaged, "ZeroDivisionError: division by zero"),
}


@pytest.fixture
def broken(environment: Environment) -> Environment:
    environment.install("--proxy", PROXY)
    corrupt(environment)
    return environment


# One start for all of them: each line of it is one way of reaching somebody, and prints what came of it.
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
    """Also what would be direct: where the settings cannot be read, nobody knows what is."""
    result = broken.run("-W", "ignore", "-c", USES, PORT=str(http_server.port))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == ["True True True"] * USES.count("\n    lambda") + ["True True True"] * 2


# In C, past every socket of Python's; all but the last are covered by a hook that works.
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


# What is left of a file, None for nothing at all.
DAMAGES = {"deleted": None, "emptied": "", "no Python": "def ("}
# Imported a second time by who has caught what the first may have raised.
PERSISTENT = """
try:
    import socket
except Exception:
    import socket
try:
    socket.create_connection(("127.0.0.2", 9), 5)
except OSError as error:
    print(error)
import subprocess
subprocess.run(["true"], check=True)
"""


def damage(file: Path, left: str | None) -> None:
    shutil.rmtree(file.parent / "__pycache__", ignore_errors=True)
    file.unlink()
    if left is not None:
        file.write_text(left)


@pytest.mark.parametrize("name", ["__init__.py", "import_watch.py", "installer.py", "network_block.py"])
@pytest.mark.parametrize("left", DAMAGES.values(), ids=DAMAGES)
def test_half_a_hook(broken: Environment, name: str, left: str | None) -> None:
    """Any part of the hook is damaged; network_block.py matters only where the settings are damaged, too."""
    damage(broken.hook / name, left)
    assert broken.code("pass") == ""
    assert broken.code(PERSISTENT).startswith("[Errno 100] socksify: the network is closed: ")
    again = f"import socksify; socksify.install('{PROXY}', routes=['127.0.0.0/8=proxy'])\n{PERSISTENT}"
    assert name == "__init__.py" or "proxy socks5h://127.0.0.1:9 for 127.0.0.2:9" in broken.code(again)


@pytest.mark.parametrize("name", ["__init__.py", "import_watch.py", "installer.py", "network_block.py"])
@pytest.mark.parametrize("left", DAMAGES.values(), ids=DAMAGES)
def test_half_a_hook_can_be_mended_and_taken_out(environment: Environment, name: str, left: str | None) -> None:
    environment.install("--proxy", PROXY)
    damage(environment.hook / name, left)
    environment.install()
    assert environments.PROXIED in environment.code(environments.CONNECT)
    damage(environment.hook / name, left)
    result = environment.site("uninstall")
    assert (result.returncode, result.stderr) == (0, "")
    assert "refused" in environment.code(PERSISTENT)


def test_a_hook_whose_directory_is_gone(broken: Environment) -> None:
    """What calls it is all that is left, and cannot tell why."""
    shutil.rmtree(broken.hook)
    assert broken.code("print('fine')") == "fine"
    told = broken.code(PERSISTENT)
    assert told.startswith("[Errno 100] socksify: the network is closed: ")
    assert told.endswith(f"To go without: SOCKSIFY_DISABLE=1, or delete {broken.hook}*")
    assert "refused" in broken.code(PERSISTENT, SOCKSIFY_DISABLE="1")
    status = json.loads(broken.site("status", "--json").stdout)
    assert status["starts"][0]["why"].startswith("closed: [Errno 100] socksify: the network is closed: ")
    assert broken.site("uninstall").returncode == 0
    assert "refused" in broken.code(PERSISTENT)


@pytest.mark.parametrize("left", ["socksify/__pycache__", "socksify/notes.txt"])
def test_a_package_of_which_a_directory_is_left(broken: Environment, left: str) -> None:
    """pip leaves what it has not put there, and Python takes an empty directory for a package."""
    removed(broken)
    path = broken.packages / left
    path.parent.mkdir()
    path.touch()
    told = broken.code(PERSISTENT)
    assert told.startswith("[Errno 100] socksify: the network is closed: the package socksify is not there")


def test_a_way_out_that_needs_no_package(environment: Environment) -> None:
    environment.install("--proxy", PROXY)
    removed(environment)
    assert environment.code(PERSISTENT).endswith(
        "the package socksify is not there; install it again. To go without: SOCKSIFY_DISABLE=1, "
        f"or delete {environment.hook} and {environment.hook}.*"
    )


def test_an_interrupt_before_the_install_has_begun(environment: Environment) -> None:
    environment.install("--proxy", PROXY)
    damage(environment.hook / "installer.py", "raise KeyboardInterrupt")
    program = PERSISTENT.replace("except Exception", "except KeyboardInterrupt")
    assert environment.code(program).startswith("[Errno 100] socksify: the network is closed: ")


@pytest.mark.parametrize("left", DAMAGES.values(), ids=DAMAGES)
def test_half_a_directory_on_pythonpath(environment: Environment, template: Path, left: str | None) -> None:
    damage(template / "socksify_hook" / "__init__.py", left)
    variables = {"PYTHONPATH": str(template), "SOCKSIFY_PROXY": PROXY}
    assert environment.code("pass", **variables) == ""
    assert environment.code(PERSISTENT, **variables).startswith(f"[Errno 100] socksify: {template}/sitecustomize.py")


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


def test_exit_ends_the_program(broken: Environment) -> None:
    assert broken.code("print('no sockets')", SOCKSIFY_ON_ERROR="exit") == "no sockets"
    ended = broken.run("-c", "import socket; print('went on')", SOCKSIFY_ON_ERROR="exit")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(f"socksify: {broken.hook}/settings.toml: ")
    assert ended.stderr.count("\n") == 1


def test_exit_closes_too_where_nobody_ends(broken: Environment) -> None:
    program = """
try:
    import socket
except SystemExit:
    import socket
try:
    socket.socket().connect(("127.0.0.1", 9))
except OSError as error:
    print(error)
"""
    ended = broken.run("-c", program, SOCKSIFY_ON_ERROR="exit")
    assert "the network is closed" in ended.stdout


def test_allow_goes_on_without_a_proxy_and_says_so(broken: Environment, http_server: Target) -> None:
    fetch = f"import urllib.request; print(urllib.request.urlopen('{http_server.url}').read().decode())"
    went_on = broken.run("-c", fetch, SOCKSIFY_ON_ERROR="allow")
    assert "hello" in went_on.stdout
    assert went_on.stderr.count("\n") == 1
    assert "connections go direct, as SOCKSIFY_ON_ERROR=allow has it" in went_on.stderr
    assert broken.code("pass", SOCKSIFY_ON_ERROR="allow") == ""


def test_another_word_closes(broken: Environment) -> None:
    told = broken.code(STATE, SOCKSIFY_ON_ERROR="ignore")
    assert told.endswith("; SOCKSIFY_ON_ERROR='ignore': expected close, exit or allow")
    assert told.startswith("closed: ")


def test_a_switch_is_no_unknown_variable(environment: Environment) -> None:
    environment.install("--proxy", PROXY)
    assert environment.code(STATE, SOCKSIFY_ON_ERROR="exit", SOCKSIFY_DISABLE="no") == "installed"


@pytest.mark.parametrize("how", ["install", "launcher"])
def test_settings_that_can_be_used_open_it_again(broken: Environment, http_server: Target, how: str) -> None:
    fetch = f"import urllib.request; print(urllib.request.urlopen('{http_server.url}').read().decode())"
    if how == "install":
        result = broken.run("-c", f"import socket, socksify; socksify.install('{PROXY}'); {fetch}")
    else:
        result = broken.run("-m", "socksify", "--proxy", PROXY, "-c", fetch)
    assert (result.stderr, result.returncode) == ("", 0)
    assert "hello" in result.stdout


def test_settings_that_cannot_be_used_leave_it_closed(broken: Environment) -> None:
    program = """
import socksify, sys
try:
    socksify.install("gopher://gw")
except ValueError:
    import socket
print(sys.modules["socksify_hook"].state.partition(":")[0])
"""
    assert broken.code(program) == "closed"


def test_a_directory_on_pythonpath_says_how_to_get_rid_of_it(environment: Environment) -> None:
    variables = {"PYTHONPATH": str(environments.TEMPLATE), "SOCKSIFY_PROXI": PROXY}
    result = environment.run("-c", "import socket; socket.gethostbyname('name.example')", **variables)
    assert f"or take {environments.TEMPLATE} off PYTHONPATH" in result.stderr


def test_the_file_alone_without_what_belongs_to_it(environment: Environment, tmp_path: Path) -> None:
    shutil.copy(environments.TEMPLATE / "sitecustomize.py", tmp_path)
    variables = {"PYTHONPATH": str(tmp_path)}
    result = environment.run("-c", "import socket; socket.gethostbyname('name.example')", **variables)
    assert f"OSError: [Errno 100] socksify: {tmp_path}/sitecustomize.py needs socksify_hook/ beside it" in result.stderr
    assert environment.code("pass", **variables) == ""
