"""Whatever a client sends at whatever stage, the server answers or closes, keeps serving, and keeps no descriptor."""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Callable

import pytest

from socksify.server.policy.limits import Limits
from tests.support.streams import receive
from tests.support.targets import Target
from tests.unit.server import client
from tests.unit.server.running import Running

RESET = b"\x01\0\0\0\0\0\0\0"
CASES = 150


def stages(echo: Target) -> list[bytes]:
    """Complete conversations, to be cut, damaged and joined."""
    host, port = echo.address
    secret = client.credentials(b"alice", b"open sesame")
    said = [b"", b"\x05\x02\x00\x02" + secret + client.request5(host, port)]
    for command in (client.CONNECT, client.BIND, client.UDP_ASSOCIATE, 0, 255):
        said += [client.request4(name, port, command) for name in (host, "localhost", "x.invalid")]
        said += [client.GREETING + client.request5(name, port, command) for name in (host, "::1", "localhost")]
    return said


def spoilt(chance: random.Random, said: bytes) -> bytes:
    spoilt = bytearray(said)
    for _ in range(chance.randrange(3)):
        if spoilt:
            spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
    kept = bytes(spoilt[: chance.randrange(len(spoilt) + 1)]) if chance.random() < 0.4 else bytes(spoilt)
    return kept + (chance.randbytes(chance.choice((1, 100, 70_000))) if chance.random() < 0.3 else b"")


def say(chance: random.Random, stream: socket.socket, said: bytes) -> None:
    """Sends the data in pieces, and then leaves in one of several ways, or waits until the server closes."""
    try:
        while said:
            count = chance.choice((1, 2, 7, len(said)))
            stream.sendall(said[:count])
            said = said[count:] if count > 1 or chance.random() < 0.2 else b""
        ending = chance.randrange(4)
        if ending == 0:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        elif ending == 1:
            stream.shutdown(socket.SHUT_WR)
        if ending:
            stream.recv(chance.choice((1, 1000)))
    except OSError:
        pass
    stream.close()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("which", ["running", "guarded"])
def test_a_running_server_survives(
    seed: int, which: str, request: pytest.FixtureRequest, echo_server: Target, capfd: pytest.CaptureFixture[str]
) -> None:
    running: Running = request.getfixturevalue(which)
    running.policy.limits = Limits(
        handshake_seconds=1, connect_seconds=1, bind_seconds=0.2, idle_seconds=1, associate_seconds=1, failed_seconds=0
    )
    running.server._loop.call(running.server._server._sweep)
    bulk = running.bulk
    before = descriptors()
    chance = random.Random(seed)
    conversations = stages(echo_server)
    for _ in range(CASES):
        with socket.create_connection((running.server.host, running.server.port), timeout=0.05) as stream:
            say(chance, stream, spoilt(chance, chance.choice(conversations)))
    assert serves(running, which == "guarded", echo_server)
    reports = [running.report() for _ in range(CASES + 1)]
    assert {report.outcome for report in reports} >= {"garbled", "left"}
    assert settles(lambda: descriptors() - 2 * len(bulk.pipes._idle), before)
    assert "Traceback" not in capfd.readouterr().err


def serves(running: Running, guarded: bool, echo: Target) -> bool:
    with socket.create_connection((running.server.host, running.server.port), timeout=10) as stream:
        if guarded:
            stream.sendall(b"\x05\x01\x02" + client.credentials(b"alice", b"open sesame"))
            assert receive(stream, 4) == b"\x05\x02\x01\x00"
        else:
            stream.sendall(client.GREETING)
            assert receive(stream, 2) == b"\x05\x00"
        stream.sendall(client.request5(*echo.address) + b"ping")
        assert client.reply5(stream)[0] == 0
        return receive(stream, 4) == b"ping"


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def settles(count: Callable[[], int], before: int) -> bool:
    """Waits for the echo server's threads, which take a moment to see that their peers have gone."""
    for _ in range(500):
        if count() <= before:
            return True
        threading.Event().wait(0.02)
    return False
