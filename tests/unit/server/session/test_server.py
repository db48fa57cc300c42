"""Many clients at once, and a shortage of descriptors."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from socksify.server.core.loop import Loop
from socksify.server.net.listeners import listen
from socksify.server.policy.policy import Policy
from socksify.server.session.server import Server
from tests.support.streams import receive
from tests.support.targets import Target
from tests.unit.server import client
from tests.unit.server.running import Running


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1"])
def test_any_loopback_address_will_do(host: str) -> None:
    loop = Loop()
    server = Server(loop, [listen(loop, host, 0)], Policy())
    [address] = server.addresses
    socket.create_connection(address, timeout=10).close()
    server.close()
    loop.close()


def test_a_port_that_is_taken(echo_server: Target) -> None:
    loop = Loop()
    with pytest.raises(OSError, match="in use"):
        listen(loop, *echo_server.address)
    loop.close()


def test_five_hundred_at_once(running: Running, echo_server: Target) -> None:
    streams = [running.connect() for _ in range(500)]
    for stream in streams:
        stream.sendall(client.GREETING + client.request5(*echo_server.address) + b"ping")
    for stream in streams:
        assert receive(stream, 2) == b"\x05\x00"
        assert client.reply5(stream)[0] == 0
        assert receive(stream, 4) == b"ping"


STARVED = """
import os, resource, socket, sys
from socksify.server import embedded
server = embedded.start()
address = server.host, server.port
limit = len(os.listdir("/proc/self/fd")) + 20
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
held = []
try:
    while True:
        held.append(socket.create_connection(address, 10))
except OSError:
    pass
before = sum(os.times()[:2])
import time; time.sleep(0.5)
print("slept" if sum(os.times()[:2]) - before < 0.25 else "spun")
while held:
    held.pop().close()
with socket.create_connection(address, 10) as stream:
    stream.sendall(b"\\x05\\x01\\x00")
    print(stream.recv(2))
"""


def test_without_descriptors_it_waits_until_there_are_some() -> None:
    child = subprocess.run([sys.executable, "-c", STARVED], capture_output=True, text=True, timeout=60, check=True)
    assert child.stdout.split("\n")[:2] == ["slept", "b'\\x05\\x00'"], child.stderr
