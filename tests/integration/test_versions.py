"""What must be right on every supported Python, in every run: the standard library's own uses of sockets and pollers.

They are those that CPython has changed most: how `selectors` is imported and what it keeps, the start method of
multiprocessing, which types are immutable. A part of the suite might leave them out, so they are marked.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from socksify import _hook_location
from tests.reports.conformance.proxies import connections
from tests.support.paths import PROGRAMS
from tests.support.servers import Server
from tests.support.targets import Target

pytestmark = pytest.mark.every_version

PROGRAM = str(PROGRAMS / "standard_library.py")
# How many connections the program makes to the server that it is told of.
CONNECTIONS = 5
# A program that has imported and used much before it installs, as notebooks have.
LATE = """
import asyncio, concurrent.futures, multiprocessing, runpy, select, selectors, socket, socketserver, subprocess, sys
import socksify
socksify.install()
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


# The words behind `python`, and variables beside those that say which proxy.
WAYS: dict[str, tuple[list[str], dict[str, str]]] = {
    "launched": (["-m", "socksify", PROGRAM], {}),
    "hooked": ([PROGRAM], {"PYTHONPATH": _hook_location.template()}),
    "late": (["-c", LATE, PROGRAM], {}),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_standard_library_is_right(danted: Server, echo_server: Target, way: str) -> None:
    words, variables = WAYS[way]
    arguments = [echo_server.host, str(echo_server.port)]
    settings = {"SOCKSIFY_PROXY": danted.url(), "SOCKSIFY_ROUTES": f"{echo_server.host}:{echo_server.port}=proxy"}
    native = _run([PROGRAM, *arguments], {})
    assert native.returncode == 0, native.stderr
    before = connections(danted)
    proxied = _run([*words, *arguments], {**settings, **variables})
    assert (proxied.returncode, proxied.stdout) == (0, native.stdout), proxied.stderr
    assert proxied.stderr == native.stderr
    assert connections(danted) - before == CONNECTIONS


def _run(words: list[str], variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **variables}
    return subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, timeout=60)
