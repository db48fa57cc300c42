"""The benchmark's proxy: slow, but right, and many at a time."""

from __future__ import annotations

import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.processes import end
from tests.support.streams import receive
from tests.support.targets import Target

DELAY = 0.2


@pytest.fixture(scope="module")
def slow_proxy() -> Iterator[tuple[str, int]]:
    program = Path(__file__).with_name("slow_proxy.py")
    argv = [sys.executable, str(program), "--delay", str(DELAY)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            host, _, port = process.stdout.readline().split()[-1].rpartition(":")
            yield host, int(port)
        finally:
            end(process)


@pytest.mark.parametrize("version", ["4", "4a", "5", "5h"])
def test_it_relays(version: str, slow_proxy: tuple[str, int], echo_server: Target) -> None:
    port = echo_server.port.to_bytes(2)
    with socket.create_connection(slow_proxy, timeout=10) as stream:
        if version.startswith("5"):
            stream.sendall(b"\x05\x01\0")
            assert receive(stream, 2) == b"\x05\0"
            address = b"\x01\x7f\0\0\x01" if version == "5" else b"\x03\x09localhost"
            stream.sendall(b"\x05\x01\0" + address + port)
            assert receive(stream, 10)[:2] == b"\x05\0"
        else:
            address = b"\x7f\0\0\x01me\0" if version == "4" else b"\0\0\0\x01me\0localhost\0"
            stream.sendall(b"\x04\x01" + port + address)
            assert receive(stream, 8)[:2] == b"\0\x5a"
        stream.sendall(b"ping")
        assert receive(stream, 4) == b"ping"
        stream.shutdown(socket.SHUT_WR)
        assert receive(stream, 1) == b""


def test_it_answers_everybody_at_once(slow_proxy: tuple[str, int]) -> None:
    """500 greetings wait together: one after the other they would take 100 seconds."""
    began = time.monotonic()
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for _ in range(500):
            stream = stack.enter_context(socket.create_connection(slow_proxy, timeout=10))
            stream.sendall(b"\x05\x01\0")
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select(10) or pytest.fail("no answer within 10 seconds"):
                assert isinstance(key.fileobj, socket.socket)
                assert key.fileobj.recv(10) == b"\x05\0"
                selector.unregister(key.fileobj)
    assert DELAY <= time.monotonic() - began < 50
