"""socket reloaded, or imported a second time: what was patched stays patched, and is given back."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import importlib, socket, sys, _socket, select
modules = socket, _socket, select
plain = socket.socket.connect
import socksify
socksify.install("socks5h://127.0.0.1:9")
before = socket.socket
{again}
import socket, _socket, select
assert socket.socket is before
for function in (socket.socket.connect, _socket.getaddrinfo, socket.gethostbyname, select.select):
    assert function.__globals__["__name__"].startswith("socksify."), function
try:
    socket.create_connection(("192.0.2.1", 80), 5)
except OSError as error:
    print(error.proxy)
socksify.uninstall()
socket, _socket, select = modules
assert socket.socket.connect is plain
for function in (_socket.getaddrinfo, socket.gethostbyname, select.select):
    assert not hasattr(function, "__globals__"), function
"""
AGAIN = {
    "reloaded": "importlib.reload(socket)",
    "reloaded twice": "importlib.reload(socket); importlib.reload(socket)",
    "all of them reloaded": "[importlib.reload(m) for m in (_socket, select, socket)]",
    "forgotten": "for name in ('socket', '_socket', 'select'): del sys.modules[name]",
}


@pytest.mark.parametrize("again", AGAIN.values(), ids=AGAIN)
def test_it_stays_patched(again: str) -> None:
    command = [sys.executable, "-c", PROGRAM.format(again=again)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("socks5h://127.0.0.1:9\n", "")
