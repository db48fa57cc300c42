"""Readers and writers of uvloop's loops, on sockets whose tunnels are pending, and on others."""

from __future__ import annotations

import asyncio
import socket
from errno import EINPROGRESS
from typing import Any

import pytest

from tests.support.bad_proxy import BadProxy, Script
from tests.support.routing import routed
from tests.support.stepping import ANYWHERE, TARGET, begin, stepping
from tests.support.steps import CLOSE, HANG, READ_GREETING, READ_REQUEST, Send, Trickle, good, socks5_reply
from tests.support.targets import Target
from tests.unit.patches.adapters.uvloop_runner import Run


@pytest.mark.parametrize("reply", [0, 5])
@pytest.mark.parametrize("what", ["writer", "reader"])
def test_readers_and_writers_hear_when_it_is_settled(run: Run, what: str, reply: int) -> None:
    """The loop's own epoll would tell of the connection to the proxy."""
    answer = Trickle(b"\x05\0", 0.02), Trickle(socks5_reply(reply), 0.02)
    script: Script = [
        READ_GREETING,
        answer[0],
        READ_REQUEST,
        answer[1],
        *([Send(b"hello"), HANG] if reply == 0 else [CLOSE]),
    ]

    async def main() -> int:
        loop = asyncio.get_running_loop()
        with socket.socket() as sock:
            begin(sock)
            called = asyncio.Event()
            (loop.add_writer if what == "writer" else loop.add_reader)(sock, called.set)
            turns = 0
            while not called.is_set():
                await asyncio.sleep(0.005)
                turns += 1
            (loop.remove_writer if what == "writer" else loop.remove_reader)(sock)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == (111 if reply else 0)
            return turns

    with BadProxy(script) as proxy, routed(proxy.url(), routes=ANYWHERE):
        assert run(main()) >= 10


def test_a_writer_that_is_taken_away_again_hears_nothing(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as sock:
            begin(sock)
            loop.add_writer(sock, pytest.fail, "it was called")
            while steps.stops < 1:
                await asyncio.sleep(0.001)
            loop.remove_writer(sock)
            loop.remove_writer(sock)
            loop.remove_reader(sock)
            steps.run()
            await asyncio.sleep(0.05)
            assert sock.connect_ex(TARGET) != EINPROGRESS

    with stepping() as steps:
        run(main())


def test_readers_by_keyword(run: Run, echo_server: Target) -> None:
    async def main() -> None:
        # uvloop and asyncio name this argument differently.
        loop: Any = asyncio.get_running_loop()
        with socket.create_connection(echo_server.address) as sock:
            heard = asyncio.Event()
            loop.add_reader(fileobj=sock, callback=heard.set)
            sock.sendall(b"ping")
            await heard.wait()
            loop.remove_reader(fileobj=sock)
            assert sock.recv(4) == b"ping"

    with BadProxy(good("socks5")) as proxy, routed(proxy.url()):
        run(main())
