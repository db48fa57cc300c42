"""Time-outs go by the kernel's clock, whatever a test of the client's has put in the place of Python's."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.bad_proxy import BadProxy
from tests.support.steps import HANG, READ_GREETING

# As freezegun does: every attribute of every module that is the function becomes another one.
FREEZE = """
import sys, time

def freeze():
    real, began = time.monotonic, time.monotonic()
    for module in list(sys.modules.values()):
        for name in [name for name, value in list(vars(module).items()) if value is real]:
            setattr(module, name, lambda: began)
"""
CONNECT = """
import socket, socksify

socksify.install(sys.argv[1], routes=["127.0.0.0/8=proxy"], connect_timeout=0.3)
freeze()
assert time.monotonic() == time.monotonic()
"""
WAYS = {
    "a timeout": "sock.settimeout(0.3)\nerror = sock.connect_ex(('127.0.0.1', 9))",
    "connect_timeout": "error = sock.connect_ex(('127.0.0.1', 9))",
    "select": (
        "import select\nsock.setblocking(False)\nsock.connect_ex(('127.0.0.1', 9))\n"
        "select.select([], [sock], [])\nerror = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)"
    ),
    "a select that is over": (
        "import select\nsock.setblocking(False)\nsock.connect_ex(('127.0.0.1', 9))\n"
        "error = 0 if select.select([], [sock], [], 0.1) == ([], [], []) else 1"
    ),
}
SERVER = """
from socksify.server.core.loop import Loop

freeze()
loop = Loop()
loop.after(0.05, loop.stop)
loop.run()
"""


def run(program: str, *arguments: str) -> str:
    argv = [sys.executable, "-c", FREEZE + program, *arguments]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("way", WAYS)
def test_a_connect_ends_in_time_though_the_clock_is_frozen(way: str) -> None:
    with BadProxy([READ_GREETING, HANG]) as proxy:
        told = run(f"{CONNECT}\nsock = socket.socket()\n{WAYS[way]}\nprint(error)", proxy.url())
    expected = {"a timeout": 11, "connect_timeout": 110, "select": 110, "a select that is over": 0}
    assert int(told) == expected[way]


def test_the_servers_timers_go_on_though_the_clock_is_frozen() -> None:
    run(SERVER)
