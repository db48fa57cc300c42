"""Imports that are made when their names are used (PEP 810): those of the program, and all where it asks for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import socksify
from tests.support.bad_proxy import BadProxy
from tests.support.connecting_packages import write_package
from tests.support.stepping import SECONDS
from tests.support.steps import good
from tests.support.targets import Target

TEMPLATE = Path(socksify.__file__).parents[1] / "sitecustomize_template"
# PEP 810 is Python 3.15's. Without it the programs are the same, and their imports ordinary.
IS_THERE = hasattr(sys, "set_lazy_imports")
KEYWORDS = ["", "lazy "] if IS_THERE else [""]
MODES: dict[str, tuple[list[str], dict[str, str]]] = {"as they stand": ([], {})}
if IS_THERE:
    MODES |= {
        "-X lazy_imports=all": (["-X", "lazy_imports=all"], {}),
        "PYTHON_LAZY_IMPORTS=all": ([], {"PYTHON_LAZY_IMPORTS": "all"}),
        "-X lazy_imports=normal": (["-X", "lazy_imports=normal"], {}),
    }

PROGRAM = """
{keyword}import socket
{keyword}from socket import create_connection
{keyword}import select, selectors, subprocess, asyncio
{keyword}from select import select as wait
import sys
{install}
target = ("127.0.0.1", int(sys.argv[1]))
print(subprocess.run([sys.executable, "-c", "print(1)"], capture_output=True, check=True).stdout)
for connect in (socket.create_connection, create_connection):
    with connect(target, timeout=20) as sock:
        sock.sendall(b"ping")
        assert wait([sock], [], [], 20)[0] == [sock]
        assert sock.recv(4) == b"ping"

async def main():
    reader, writer = await asyncio.open_connection(*target)
    writer.write(b"ping")
    assert await reader.readexactly(4) == b"ping"
    writer.close()

for selector in (selectors.SelectSelector, selectors.PollSelector, selectors.DefaultSelector):
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector())) as runner:
        runner.run(main())
"""
INSTALL = """
import socksify
socksify.install(socksify_proxy := sys.argv[2], routes=["127.0.0.0/8=proxy"])
"""
UNINSTALL = """
import _socket, os
socksify.uninstall()
assert "connect" not in vars(socket.socket)
for function in (select.select, select.poll, selectors.SelectSelector._select, selectors.PollSelector._selector_cls):
    assert type(function) is type(len), function
"""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("keyword", KEYWORDS)
@pytest.mark.parametrize("way", ["launcher", "install()", "hook"])
def test_all_go_through_the_proxy(way: str, keyword: str, mode: str, tmp_path: Path, echo_server: Target) -> None:
    install = INSTALL if way == "install()" else ""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(keyword=keyword, install=install) + (UNINSTALL if install else ""))
    options, variables = MODES[mode]
    with BadProxy(*[good("socks5")] * 5) as proxy:
        environ = {**os.environ, **variables}
        launcher: list[str] = []
        if way == "launcher":
            launcher = ["-m", "socksify", "--proxy", proxy.url(), "--route", "127.0.0.0/8=proxy"]
        elif way == "hook":
            environ |= {"PYTHONPATH": str(TEMPLATE), "SOCKSIFY_PROXY": proxy.url()}
            environ["SOCKSIFY_ROUTES"] = "127.0.0.0/8=proxy"
        words = [sys.executable, *options, *launcher, str(program), str(echo_server.port), proxy.url()]
        got = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, env=environ, check=False)
        assert (got.returncode, got.stdout, got.stderr) == (0, "b'1\\n'\n", "")
        assert len(proxy.sessions) == 5


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("keyword", KEYWORDS)
def test_a_module_in_c_is_named_or_refused_when_it_comes(keyword: str, mode: str, tmp_path: Path) -> None:
    write_package(tmp_path, "somelib")
    program = tmp_path / "program.py"
    program.write_text(f"{keyword}import somelib\nprint('before', flush=True)\nprint(somelib.__name__)\n")
    options, variables = MODES[mode]
    environ = {**os.environ, **variables}
    launcher = ["-m", "socksify", "--proxy", "socks5h://192.0.2.1:1080", "--seal=off"]
    for strict in ([], ["--strict"]):
        words = [sys.executable, *options, *launcher, *strict, str(program)]
        got = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, env=environ, check=False)
        assert "somelib (somelib._cares) has network code of its own" in got.stderr
        assert ("somelib\n" in got.stdout) == (not strict)
        assert got.returncode == (1 if strict else 0)


CONNECT = "import socket; socket.create_connection(('127.0.0.1', {port}), timeout=20).close()"
# Before Python 3.14 the module has another name, and the program is the same.
STARTED_LATER = """
import multiprocessing, subprocess, sys
from importlib import import_module
def connect():
    exec({code!r})
if __name__ == "__main__":
    name = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    interpreters = import_module(name)
    made = interpreters.create()
    assert interpreters.run_string(made, {code!r}) is None
    interpreters.destroy(made)
    for method in ("spawn", "forkserver"):
        process = multiprocessing.get_context(method).Process(target=connect)
        process.start()
        process.join({seconds})
        assert process.exitcode == 0, process.exitcode
"""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("isolated", [[], ["-I"]])
def test_what_is_started_later_goes_through_it(
    isolated: list[str], mode: str, tmp_path: Path, echo_server: Target
) -> None:
    program = tmp_path / "program.py"
    code = CONNECT.format(port=echo_server.port)
    program.write_text(STARTED_LATER.format(code=code, seconds=SECONDS))
    options, variables = MODES[mode]
    with BadProxy(*[good("socks5")] * 3) as proxy:
        launcher = ["-m", "socksify", "--proxy", proxy.url(), "--route", "127.0.0.0/8=proxy"]
        words = [sys.executable, *options, *isolated, *launcher, str(program)]
        environ = {**os.environ, **variables}
        got = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, env=environ, check=False)
        assert (got.returncode, got.stderr) == (0, "")
        assert len(proxy.sessions) == 3
