"""If the server runs out of descriptors, it logs that, makes room, and goes on."""

from __future__ import annotations

import contextlib
import select
import socket
import time

import pytest

from tests.support.running_sockd import sockd
from tests.support.streams import receive
from tests.support.targets import Target
from tests.unit.server import client
from tests.unit.server.sockd_runs import serve_one


def test_without_descriptors_it_waits_says_so_and_goes_on(echo_server: Target) -> None:
    """The server itself has about ten descriptors, and each client takes two."""
    prefix = ("sh", "-c", 'ulimit -n 40; exec "$@"', "sh")
    with sockd(prefix=prefix) as server, contextlib.ExitStack() as stack:
        streams = [stack.enter_context(server.connect()) for _ in range(40)]
        server.line("no new connections for now: Too many open files")
        assert client.ask(streams[0], 5, *echo_server.address) in (0, 1)
        for stream in streams[:30]:
            stream.close()
        server.line("new connections are taken again")
        for stream in streams[30:]:
            stream.close()
        serve_one(server, echo_server)


@pytest.mark.parametrize("said", [b"", b"\x05", b"\x05\x01\x00", b"\x05\x01\x00\x05\x01\x00\x01"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_silent_clients_do_not_keep_a_good_one_out(said: bytes, host: str, echo_server: Target) -> None:
    """Silent clients hold all descriptors for up to 30 seconds. A client that waits is served much earlier."""
    prefix = ("sh", "-c", 'ulimit -n 40; exec "$@"', "sh")
    with sockd(prefix=prefix) as server, contextlib.ExitStack() as stack:
        for _ in range(60):
            stack.enter_context(server.connect()).sendall(said)
        server.line("no new connections for now: Too many open files")
        began = time.monotonic()
        for _ in range(3):
            with server.connect() as stream:
                assert client.ask(stream, 5, host, echo_server.port) == 0
                stream.sendall(b"hello")
                assert receive(stream, 5) == b"hello"
        assert time.monotonic() - began < 8
        assert "no request yet, and others wait" in server.line("timeout")


def test_a_descriptor_that_is_given_back_is_used_at_once(echo_server: Target) -> None:
    """Relayed connections are kept. As soon as one ends, the next client is accepted."""
    prefix = ("sh", "-c", 'ulimit -n 40; exec "$@"', "sh")
    with sockd(prefix=prefix) as server, contextlib.ExitStack() as stack:
        relayed: list[socket.socket] = []
        while not relayed or select.select([relayed[-1]], [], [], 1)[0]:
            relayed.append(stack.enter_context(server.connect()))
            relayed[-1].sendall(client.GREETING + client.request5(*echo_server.address))
        server.line("no new connections for now: Too many open files")
        assert receive(relayed[0], 12)[2:4] == b"\x05\x00"
        relayed[0].close()
        assert select.select([relayed[-1]], [], [], 10)[0]
        assert receive(relayed[-1], 12)[2:4] == b"\x05\x00"
