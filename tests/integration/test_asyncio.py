"""asyncio, unmodified, over tunnels: every selector, every way to connect, and what a loop makes of failures."""

from __future__ import annotations

import asyncio
import selectors
import socket
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from errno import ECANCELED, ECONNREFUSED
from functools import partial
from typing import Any

import pytest

import socksify
from tests.support.asyncio_streams import BANNER, GREETED, first_line, given_up
from tests.support.bad_proxy import BadProxy, Script
from tests.support.routing import routed
from tests.support.servers import Server
from tests.support.stepping import ANYWHERE, SECONDS, TARGET, stepping
from tests.support.steps import DIAL, HANG, READ_GREETING, READ_REQUEST, RELAY, Trickle, good, socks5_reply
from tests.support.targets import Target

SELECTORS = ["SelectSelector", "PollSelector", "EpollSelector"]
Loop = asyncio.AbstractEventLoop
Run = Callable[[Coroutine[Any, Any, Any]], Any]


def make_loop(selector: str) -> Loop:
    return asyncio.SelectorEventLoop(getattr(selectors, selector)())


@pytest.fixture(params=SELECTORS)
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Runs a coroutine, on a loop that was made before install()."""
    loop = make_loop(request.param)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.get_loop()
        yield lambda coroutine: runner.run(asyncio.wait_for(coroutine, SECONDS))


async def echoed(address: tuple[str, int], words: bytes = b"ping", **options: Any) -> bytes:
    reader, writer = await asyncio.open_connection(*address, **options)
    try:
        writer.write(words)
        assert writer.get_extra_info("peername")[:2] == address
        return await reader.readexactly(len(words))
    finally:
        writer.close()
        await writer.wait_closed()


def test_open_connection(proxy: Server, run: Run, echo_server: Target) -> None:
    with routed(proxy.url()):
        assert run(echoed(echo_server.address)) == b"ping"


def test_a_loop_made_after_install(proxy: Server, echo_server: Target) -> None:
    with routed(proxy.url()):
        for selector in SELECTORS:
            with asyncio.Runner(loop_factory=partial(make_loop, selector)) as runner:
                assert runner.run(asyncio.wait_for(echoed(echo_server.address), SECONDS)) == b"ping"


def test_a_name_and_happy_eyeballs(microsocks: Server, run: Run, echo_server: Target) -> None:
    """Both addresses of localhost are raced; the one that loses leaves nothing behind."""
    with routed(microsocks.url()):
        reader_writer = asyncio.open_connection("localhost", echo_server.port, happy_eyeballs_delay=0.001)

        async def talk() -> bytes:
            reader, writer = await reader_writer
            writer.write(b"ping")
            answer = await reader.readexactly(4)
            writer.close()
            await writer.wait_closed()
            return answer

        assert run(talk()) == b"ping"


def test_sock_connect(microsocks: Server, run: Run, echo_server: Target) -> None:
    async def talk() -> bytes:
        loop = asyncio.get_running_loop()
        with socket.socket() as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, echo_server.address)
            await loop.sock_sendall(sock, b"ping")
            return await loop.sock_recv(sock, 4)

    with routed(microsocks.url()):
        assert run(talk()) == b"ping"


def test_a_slow_proxy_does_not_hold_up_the_loop(run: Run, echo_server: Target) -> None:
    """The loop turns while the proxy takes its time: it spells its answers byte by byte."""
    answer = Trickle(b"\x05\0", 0.02), Trickle(socks5_reply(0), 0.02)
    script: Script = [READ_GREETING, answer[0], READ_REQUEST, DIAL, answer[1], RELAY]

    async def main() -> int:
        turns = 0
        task = asyncio.create_task(echoed(echo_server.address))
        while not task.done():
            await asyncio.sleep(0.005)
            turns += 1
        assert await task == b"ping"
        return turns

    with BadProxy(script) as proxy, routed(proxy.url()):
        assert run(main()) >= 10


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6])
def test_a_refusal_has_its_own_class(run: Run, code: int) -> None:
    native = {2: PermissionError, 5: ConnectionRefusedError, 1: ConnectionRefusedError, 6: TimeoutError}

    async def main() -> None:
        with socket.socket() as sock:
            sock.setblocking(False)
            with pytest.raises(native.get(code, OSError)) as caught:
                await asyncio.get_running_loop().sock_connect(sock, TARGET)
            assert "Connect call failed" in str(caught.value)
            story = socksify.last_error(sock)
            assert isinstance(story, socksify.ProxyError)
            assert (story.errno, story.reply, story.target) == (caught.value.errno, code, "203.0.113.5:80")

    with BadProxy(good("socks5", reply=code)) as proxy, routed(proxy.url(), routes=ANYWHERE):
        run(main())


@pytest.mark.parametrize("stop", range(3))
@pytest.mark.parametrize("how", ["wait_for", "cancel"])
def test_giving_up_in_the_middle_of_the_handshake(run: Run, how: str, stop: int) -> None:
    with stepping() as steps:
        run(given_up(steps, how, stop))
        assert len(steps.proxy.sessions) == 1


def test_connect_timeout_ends_it(run: Run) -> None:
    with (
        BadProxy([READ_GREETING, HANG]) as proxy,
        routed(proxy.url(), routes=ANYWHERE, connect_timeout=0.1),
        pytest.raises(TimeoutError, match="Connect call failed"),
    ):
        run(asyncio.open_connection(*TARGET))


def test_a_proxy_that_is_not_there_is_refused_as_such(run: Run) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        host, port = listener.getsockname()
        with routed(f"socks5h://{host}:{port}", routes=ANYWHERE), pytest.raises(ConnectionRefusedError) as caught:
            run(asyncio.open_connection(*TARGET))
    assert caught.value.errno == ECONNREFUSED


def test_a_thousand_at_once(echo_server: Target) -> None:
    async def main() -> None:
        words = [b"%05d" % number for number in range(1000)]
        gate = asyncio.Semaphore(400)

        async def one(word: bytes) -> bytes:
            async with gate:
                return await echoed(echo_server.address, word)

        assert await asyncio.gather(*map(one, words)) == words

    with BadProxy(good("socks5")) as proxy, routed(proxy.url()):
        asyncio.run(asyncio.wait_for(main(), 60))
        assert len(proxy.sessions) == 1000


def test_threads_and_loops_side_by_side(microsocks: Server, echo_server: Target) -> None:
    def in_a_loop(_: int) -> bytes:
        return asyncio.run(asyncio.wait_for(echoed(echo_server.address), SECONDS))

    def in_a_thread(_: int) -> bytes:
        with socket.create_connection(echo_server.address, timeout=SECONDS) as sock:
            sock.sendall(b"ping")
            return sock.recv(4)

    with routed(microsocks.url()), ThreadPoolExecutor(8) as threads:
        work = [threads.submit(call, number) for number in range(20) for call in (in_a_loop, in_a_thread)]
        assert {future.result(30) for future in work} == {b"ping"}


def test_uninstalled_in_the_middle_it_fails_instead_of_pretending() -> None:
    """Nobody goes on with the handshake: the loop must not take the dead socket for a connected one."""

    async def main() -> None:
        task = asyncio.create_task(asyncio.open_connection(*TARGET))
        while not proxy.sessions or not proxy.sessions[0].received:
            await asyncio.sleep(0.001)
        socksify.uninstall()
        with pytest.raises(OSError) as caught:
            await asyncio.wait_for(task, SECONDS)
        assert caught.value.errno == ECANCELED

    with BadProxy([READ_GREETING, HANG]) as proxy, routed(proxy.url(), routes=ANYWHERE):
        asyncio.run(main())


def test_a_banner_that_came_with_the_reply_is_read(run: Run) -> None:
    with BadProxy(GREETED) as proxy, routed(proxy.url(), routes=ANYWHERE):
        assert run(first_line()) == BANNER
