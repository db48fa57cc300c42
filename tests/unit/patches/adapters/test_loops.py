"""trio and anyio, unmodified, over tunnels: loops that are not asyncio's, and the errors that they raise."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
import trio

import socksify
from tests.support.bad_proxy import BadProxy, Script
from tests.support.certificates import NAME, Certificates
from tests.support.routing import routed
from tests.support.servers import Server
from tests.support.stepping import ANYWHERE, SECONDS, TARGET, stepping
from tests.support.steps import CLOSE, DIAL, HANG, READ_GREETING, READ_REQUEST, RELAY, Send, Trickle, good, socks5_reply
from tests.support.targets import Target

# A loop, and its own way to a stream; the streams are used alike.
Open = Callable[..., Awaitable[Any]]
LOOPS: dict[str, tuple[str, Open]] = {
    "trio": ("trio", trio.open_tcp_stream),
    "anyio on trio": ("trio", anyio.connect_tcp),
    "anyio on asyncio": ("asyncio", anyio.connect_tcp),
}


class Loop:
    """Runs a coroutine function of its own kind of loop."""

    def __init__(self, name: str) -> None:
        self.backend, self.open = LOOPS[name]
        self.sends = "send_all" if name == "trio" else "send"
        self.receives = "receive_some" if name == "trio" else "receive"

    def run(self, main: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        async def bounded() -> Any:
            with anyio.fail_after(SECONDS):
                return await main(*args)

        return anyio.run(bounded, backend=self.backend)

    async def echoed(self, host: str, port: int, words: bytes = b"ping") -> bytes:
        """What an echo server makes of some words."""
        async with await self.open(host, port) as stream:
            return await self.talk(stream, words)

    async def talk(self, stream: Any, words: bytes = b"ping") -> bytes:
        await getattr(stream, self.sends)(words)
        answer = b""
        while len(answer) < len(words):
            answer += await getattr(stream, self.receives)()
        return answer


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> Loop:
    return Loop(request.param)


def test_a_stream(proxy: Server, loop: Loop, echo_server: Target) -> None:
    with routed(proxy.url()):
        assert loop.run(loop.echoed, *echo_server.address) == b"ping"


def test_both_addresses_of_localhost_are_raced(microsocks: Server, loop: Loop, echo_server: Target) -> None:
    """Happy eyeballs: the one that loses leaves nothing behind."""
    with routed(microsocks.url()):
        assert loop.run(loop.echoed, "localhost", echo_server.port) == b"ping"


@pytest.mark.parametrize("way", ["trio", "anyio on trio", "anyio on asyncio"])
def test_tls_by_name(knowing: Server, certificates: Certificates, tls_echo: Target, way: str) -> None:
    loop, context = Loop(way), certificates.client()

    async def main() -> bytes:
        stream: Any
        if way == "trio":
            stream = await trio.open_ssl_over_tcp_stream(NAME, tls_echo.port, ssl_context=context)
        else:
            stream = await anyio.connect_tcp(NAME, tls_echo.port, tls_hostname=NAME, ssl_context=context)
        async with stream:
            return await loop.talk(stream)

    with routed(knowing.url(), routes=()):
        assert loop.run(main) == b"ping"


def test_a_hundred_at_once(loop: Loop, echo_server: Target) -> None:
    words = [b"%05d" % number for number in range(100)]
    heard: dict[bytes, bytes] = {}

    async def one(word: bytes) -> None:
        heard[word] = await loop.echoed(*echo_server.address, word)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for word in words:
                group.start_soon(one, word)

    with BadProxy(good("socks5")) as proxy, routed(proxy.url()):
        loop.run(main)
        assert len(proxy.sessions) == 100
    assert heard == {word: word for word in words}


def test_a_slow_proxy_does_not_hold_up_the_loop(loop: Loop, echo_server: Target) -> None:
    """The loop turns while the proxy takes its time: it spells its answers byte by byte."""
    answer = Trickle(b"\x05\0", 0.02), Trickle(socks5_reply(0), 0.02)
    script: Script = [READ_GREETING, answer[0], READ_REQUEST, DIAL, answer[1], RELAY]

    async def main() -> int:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await anyio.sleep(0.005)
                turns += 1

        async with anyio.create_task_group() as group:
            group.start_soon(count)
            assert await loop.echoed(*echo_server.address) == b"ping"
            group.cancel_scope.cancel()
        return turns

    with BadProxy(script) as proxy, routed(proxy.url()):
        assert loop.run(main) >= 10


@pytest.mark.parametrize("stop", range(3))
def test_giving_up_in_the_middle_of_the_handshake(loop: Loop, stop: int) -> None:
    async def connect() -> None:
        await loop.open(*TARGET)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(connect)
            while steps.stops <= stop:
                await anyio.sleep(0.001)
                if steps.stops <= stop and steps.stops:
                    steps.go()
            group.cancel_scope.cancel()

    with stepping() as steps:
        loop.run(main)
        assert len(steps.proxy.sessions) == 1


@pytest.mark.parametrize(
    ("code", "native"), [(1, ConnectionRefusedError), (2, PermissionError), (4, OSError), (6, TimeoutError)]
)
def test_a_refusal_has_its_own_class(code: int, native: type[OSError]) -> None:
    async def main() -> None:
        with trio.socket.socket() as sock:
            with pytest.raises(native) as caught:
                await sock.connect(TARGET)
            story = socksify.last_error(vars(sock)["_sock"])
            assert isinstance(story, socksify.ProxyError)
            assert (story.errno, story.reply, story.target) == (caught.value.errno, code, "203.0.113.5:80")

    with BadProxy(good("socks5", reply=code)) as proxy, routed(proxy.url(), routes=ANYWHERE):
        Loop("trio").run(main)


def test_a_refusal_reaches_the_client(loop: Loop) -> None:
    with (
        BadProxy(good("socks5", reply=5)) as proxy,
        routed(proxy.url(), routes=ANYWHERE),
        pytest.raises(OSError, match=r"(?i)all (connection attempts failed|attempts to connect to 203\.0\.113\.5:80)"),
    ):
        loop.run(loop.open, *TARGET)


def test_connect_timeout_ends_it(loop: Loop) -> None:
    with (
        BadProxy([READ_GREETING, HANG]) as proxy,
        routed(proxy.url(), routes=ANYWHERE, connect_timeout=0.1),
        pytest.raises(OSError, match=r"(?i)all .*failed|all attempts"),
    ):
        loop.run(loop.open, *TARGET)


def test_trio_takes_a_socket_that_went_through(microsocks: Server, echo_server: Target) -> None:
    """It wants a socket.socket, and no subclass."""

    async def main() -> bytes:
        with socket.create_connection(echo_server.address, timeout=SECONDS) as sock:
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
            await stream.send_all(b"ping")
            return bytes(await stream.receive_some(4))

    with routed(microsocks.url()):
        assert Loop("trio").run(main) == b"ping"


def test_a_banner_that_came_with_the_reply_is_read(loop: Loop) -> None:
    script: Script = [READ_GREETING, Send(b"\x05\0"), READ_REQUEST, Send(socks5_reply(0) + b"220 hello\r\n"), CLOSE]

    async def main() -> bytes:
        async with await loop.open(*TARGET) as stream:
            banner: bytes = await getattr(stream, loop.receives)()
            return bytes(banner)

    with BadProxy(script) as proxy, routed(proxy.url(), routes=ANYWHERE):
        assert loop.run(main) == b"220 hello\r\n"


def test_installed_in_a_running_loop(loop: Loop, microsocks: Server, echo_server: Target) -> None:
    """Its selector, its waking socket and its threads are there already."""

    async def main() -> bytes:
        await anyio.to_thread.run_sync(lambda: None)
        with routed(microsocks.url()):
            return await loop.echoed(*echo_server.address)

    assert loop.run(main) == b"ping"
