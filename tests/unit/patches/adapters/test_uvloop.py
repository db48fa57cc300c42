"""uvloop, unmodified, over tunnels: what it connects, resolves, sends and watches, in loops made before and after."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine, Iterator
from errno import EINPROGRESS, EINVAL, EOPNOTSUPP
from typing import Any

import pytest
import uvloop

import socksify
from tests.integration.test_asyncio import BANNER, GREETED, first_line, given_up
from tests.support.bad_proxy import BadProxy, Script
from tests.support.calling import OUTSIDE, PEER, Calling, calling, refuse, reply
from tests.support.certificates import Certificates
from tests.support.routing import routed
from tests.support.servers import Server
from tests.support.stepping import ANYWHERE, MOMENT, SECONDS, TARGET, begin, stepping
from tests.support.steps import CLOSE, HANG, READ_GREETING, READ_REQUEST, Send, Trickle, good, socks5_reply, trickled
from tests.support.targets import Target
from tests.unit.patches.adapters.conftest import NAME

Run = Callable[[Coroutine[Any, Any, Any]], Any]


class Derived(uvloop.Loop):
    """A client's own."""


@pytest.fixture
def run() -> Iterator[Run]:
    """Runs a coroutine, on a loop of a client's own class that was made before install()."""
    with asyncio.Runner(loop_factory=Derived) as runner:
        # With its first stream libuv opens a descriptor that it keeps.
        runner.run(finished(warm_up()))
        yield lambda coroutine: runner.run(finished(coroutine))


async def warm_up() -> None:
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0):
        pass


async def finished(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Its result; libuv closes in the rounds after it."""
    try:
        return await asyncio.wait_for(coroutine, SECONDS)
    finally:
        for _ in range(10):
            await asyncio.sleep(0)


async def talk(*where: Any, words: bytes = b"ping", **options: Any) -> tuple[bytes, Any]:
    reader, writer = await asyncio.open_connection(*where, **options)
    try:
        writer.write(words)
        answer = await reader.readexactly(len(words))
        return answer, writer.get_extra_info("socket").getpeername()
    finally:
        writer.close()
        await writer.wait_closed()


def test_open_connection(proxy: Server, run: Run, echo_server: Target) -> None:
    with routed(proxy.url()):
        assert run(talk(*echo_server.address)) == (b"ping", echo_server.address)


def test_uvloop_run(microsocks: Server, echo_server: Target) -> None:
    # For its first loop libuv makes a pipe for signals, which it keeps.
    uvloop.new_event_loop().close()
    with routed(microsocks.url()):
        assert uvloop.run(talk(*echo_server.address)) == (b"ping", echo_server.address)
    assert uvloop.run(talk(*echo_server.address)) == (b"ping", echo_server.address)


def test_a_name_that_only_the_proxy_knows(
    knowing: Server, run: Run, tls_echo: Target, certificates: Certificates
) -> None:
    with routed(knowing.url(), routes=()):
        answer, peer = run(talk(NAME, tls_echo.port, ssl=certificates.client()))
    assert answer == b"ping"
    assert peer[0].startswith(("198.18.", "198.19."))


def test_start_tls(knowing: Server, run: Run, tls_echo: Target, certificates: Certificates) -> None:
    async def main() -> bytes:
        reader, writer = await asyncio.open_connection(NAME, tls_echo.port)
        await writer.start_tls(certificates.client(), server_hostname=NAME)
        writer.write(b"ping")
        answer = await reader.readexactly(4)
        writer.close()
        await writer.wait_closed()
        return answer

    with routed(knowing.url(), routes=()):
        assert run(main()) == b"ping"


def test_both_addresses_of_localhost_are_tried(run: Run) -> None:
    """The second answers, on a port that the first does not have."""

    async def main(port: int) -> Any:
        return await talk("localhost", port)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(4))
        writer.close()

    async def served() -> Any:
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            return await main(server.sockets[0].getsockname()[1])

    with BadProxy(good("socks5")) as proxy, routed(proxy.url()):
        answer, peer = run(served())
        assert answer == b"ping"
        assert peer[0] == "127.0.0.1"
        assert len(proxy.sessions) in (1, 2)


def test_a_local_address(run: Run, echo_server: Target) -> None:
    """Natively to it, for what is direct; towards the proxy for what is not."""

    async def main() -> Any:
        _, writer = await asyncio.open_connection(*echo_server.address, local_addr=("127.0.0.3", 0))
        name = writer.get_extra_info("sockname")
        writer.close()
        await writer.wait_closed()
        return name[0]

    with BadProxy(good("socks5")) as proxy:
        with routed(proxy.url(), routes=()):
            assert run(main()) == "127.0.0.3"
        with routed(proxy.url()):
            assert run(main()) == "127.0.0.3"
        assert len(proxy.sessions) == 1


def test_a_local_address_of_another_family(run: Run) -> None:
    with (
        routed("socks5h://127.0.0.1:9", routes=ANYWHERE),
        pytest.raises(OSError, match="no local address of the family AF_INET") as caught,
    ):
        run(asyncio.open_connection(*TARGET, local_addr=("::1", 0)))
    assert caught.value.errno == EINVAL


def test_sock_connect(proxy: Server, run: Run, echo_server: Target) -> None:
    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        with socket.socket() as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, echo_server.address)
            await loop.sock_sendall(sock, b"ping")
            return await loop.sock_recv(sock, 4)

    with routed(proxy.url()):
        assert run(main()) == b"ping"


@pytest.mark.parametrize("tls", [False, True])
def test_a_socket_that_is_still_connecting(run: Run, tls: bool, tls_echo: Target, certificates: Certificates) -> None:
    """libuv would write to the proxy, in the middle of the handshake."""

    async def main(port: int) -> tuple[bytes, Any]:
        with socket.socket() as sock:
            sock.setblocking(False)
            assert sock.connect_ex(("127.0.0.1", port)) == EINPROGRESS
            options: dict[str, Any] = {"ssl": certificates.client(), "server_hostname": NAME} if tls else {}
            return await talk(sock=sock, **options)

    if tls:
        with BadProxy(trickled(good("socks5"))) as proxy, routed(proxy.url()):
            assert run(main(tls_echo.port)) == (b"ping", tls_echo.address)
    else:
        with stepping() as steps:
            steps.run()
            assert run(main(80)) == (b"ping", ("127.0.0.1", 80))


def test_a_socket_that_is_refused_while_it_connects(run: Run) -> None:
    async def main() -> None:
        with socket.socket() as sock:
            begin(sock)
            await asyncio.open_connection(sock=sock)

    with (
        BadProxy(good("socks5", reply=5)) as proxy,
        routed(proxy.url(), routes=ANYWHERE),
        pytest.raises(ConnectionRefusedError),
    ):
        run(main())


def test_a_socket_that_is_given_up_while_it_connects(run: Run) -> None:
    """It is the loop's by then, which closes it."""

    async def main() -> int:
        with socket.socket() as sock:
            begin(sock)
            connecting = asyncio.create_task(asyncio.open_connection(sock=sock))
            await asyncio.sleep(MOMENT)
            connecting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await connecting
            return sock.fileno()

    with stepping():
        assert run(main()) == -1


def test_what_is_direct_is_connected_natively(run: Run, echo_server: Target) -> None:
    async def main() -> None:
        assert (await talk("127.0.0.1", echo_server.port))[0] == b"ping"
        loop = asyncio.get_running_loop()
        with socket.socket() as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, echo_server.address)
            await loop.sock_sendall(sock, b"ping")
            assert await loop.sock_recv(sock, 4) == b"ping"

    with routed("socks5h://192.0.2.1:1080", routes=()):
        run(main())


@pytest.mark.parametrize("code", [1, 2, 4, 5, 6])
@pytest.mark.parametrize("how", ["create_connection", "sock_connect"])
def test_a_refusal_has_its_own_class(run: Run, code: int, how: str) -> None:
    native = {2: PermissionError, 5: ConnectionRefusedError, 1: ConnectionRefusedError, 6: TimeoutError}

    async def main() -> None:
        if how == "create_connection":
            await asyncio.open_connection(*TARGET)
        with socket.socket() as sock:
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, TARGET)

    with (
        BadProxy(good("socks5", reply=code)) as proxy,
        routed(proxy.url(), routes=ANYWHERE),
        pytest.raises(native.get(code, OSError)) as caught,
    ):
        run(main())
    assert isinstance(caught.value, socksify.ProxyError)
    assert (caught.value.reply, caught.value.target) == (code, "203.0.113.5:80")


@pytest.mark.parametrize("stop", range(3))
@pytest.mark.parametrize("how", ["wait_for", "cancel"])
def test_giving_up_in_the_middle_of_the_handshake(run: Run, how: str, stop: int) -> None:
    with stepping() as steps:
        run(given_up(steps, how, stop))
        assert len(steps.proxy.sessions) == 1


def test_connect_timeout_ends_it(run: Run) -> None:
    with (
        BadProxy([READ_GREETING, HANG]) as proxy,
        routed(proxy.url(), routes=ANYWHERE, connect_timeout=0.2),
        pytest.raises(TimeoutError, match="its answer"),
    ):
        run(asyncio.open_connection(*TARGET))


def test_a_proxy_that_is_not_there_is_refused_as_such(run: Run) -> None:
    with routed("socks5h://127.0.0.1:9", routes=ANYWHERE), pytest.raises(ConnectionRefusedError, match="proxy"):
        run(asyncio.open_connection(*TARGET))


def test_a_banner_that_came_with_the_reply_is_read(run: Run) -> None:
    with BadProxy(GREETED) as proxy, routed(proxy.url(), routes=ANYWHERE):
        assert run(first_line()) == BANNER


@pytest.mark.parametrize("scheme", ["socks4", "socks5", "http"])
def test_a_proxy_that_spells_its_answers(run: Run, scheme: str, echo_server: Target) -> None:
    with BadProxy(trickled(good(scheme))) as proxy, routed(proxy.url(scheme)):
        assert run(talk(*echo_server.address)) == (b"ping", echo_server.address)


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


def test_look_ups(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo("name.example", 80, type=socket.SOCK_STREAM)
        address: Any = found[0][4]
        assert address[0].startswith(("198.18.", "198.19."))
        assert await loop.getnameinfo(address) == ("name.example", "http")
        assert (await loop.getaddrinfo("127.0.0.1", "http"))[0][4] == ("127.0.0.1", 80)
        with pytest.raises(socket.gaierror):
            await loop.getaddrinfo("-", 80)

    with routed("socks5h://127.0.0.1:9", routes=()):
        run(main())


class Told(asyncio.DatagramProtocol):
    """Knows what it was told."""

    def __init__(self) -> None:
        self.error: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self.received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, _: object) -> None:
        self.received.set_result(data)

    def error_received(self, error: Exception) -> None:
        self.error.set_result(error)


@pytest.mark.parametrize("connected", [False, True])
@pytest.mark.parametrize("host", ["203.0.113.5", "name.example"])
def test_datagrams_are_refused(run: Run, connected: bool, host: str) -> None:
    async def main() -> Exception:
        loop = asyncio.get_running_loop()
        options: Any = {"remote_addr": (host, 9)} if connected else {"local_addr": ("0.0.0.0", 0)}
        transport, told = await loop.create_datagram_endpoint(Told, **options)
        try:
            transport.sendto(b"ping", *(() if connected else ((host, 9),)))
            return await told.error
        finally:
            transport.close()

    with routed("socks5h://127.0.0.1:9", routes=()):
        assert isinstance(run(main()), PermissionError)


def test_datagrams_on_this_machine(run: Run) -> None:
    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        server, told = await loop.create_datagram_endpoint(Told, local_addr=("127.0.0.1", 0))
        client, _ = await loop.create_datagram_endpoint(Told, remote_addr=server.get_extra_info("sockname"))
        client.sendto(b"ping")
        answer = await told.received
        client.close()
        server.close()
        return answer

    with routed("socks5h://127.0.0.1:9", routes=()):
        assert run(main()) == b"ping"


def test_datagrams_of_unix_sockets(run: Run) -> None:
    """Nobody's but uvloop's: asyncio's transport does not send without an address."""

    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        one, other = socket.socketpair(type=socket.SOCK_DGRAM)
        other.settimeout(SECONDS)
        with one, other:
            transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, sock=one)
            transport.sendto(b"ping")
            answer = await loop.run_in_executor(None, other.recv, 9)
            transport.close()
            await asyncio.sleep(MOMENT)
            return answer

    with routed("socks5h://127.0.0.1:9", routes=()):
        assert run(main()) == b"ping"


def test_reuse_address_is_deprecated_and_refused(run: Run) -> None:
    """As uvloop has it, which asyncio has not any more."""

    async def main(*, reuse: bool) -> None:
        loop = asyncio.get_running_loop()
        options: dict[str, Any] = {"local_addr": ("127.0.0.1", 0), "reuse_address": reuse}
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, **options)
        transport.close()

    with routed("socks5h://127.0.0.1:9", routes=()):
        with pytest.raises(ValueError, match="no longer supported"):
            run(main(reuse=True))
        with pytest.warns(DeprecationWarning, match="reuse_address"):
            run(main(reuse=False))


def test_servers(run: Run) -> None:
    """By the machine's names they listen on its addresses, without a question to a name server."""

    async def main() -> list[str]:
        hosts = []
        for host in ("localhost", ["127.0.0.1", "localhost"], None, "127.0.0.1"):
            async with await asyncio.start_server(lambda *_: None, host, 0) as server:
                hosts.append(server.sockets[0].getsockname()[0])
        return hosts

    with routed("socks5h://127.0.0.1:9", routes=()):
        assert set(run(main())) <= {"127.0.0.1", "::1", "0.0.0.0", "::"}


def test_accepting_what_the_proxy_listens_for(run: Run) -> None:
    """Its fd is another connection with each peer."""

    async def main(proxy: Calling) -> None:
        loop = asyncio.get_running_loop()
        with proxy.control(), socket.create_server(("", 0)) as listener:
            listener.setblocking(False)
            for _ in range(3):
                waiting = asyncio.create_task(loop.sock_accept(listener))
                await asyncio.sleep(MOMENT)
                assert not waiting.done()
                proxy.come(b"glued")
                stream, peer = await waiting
                with stream:
                    assert (peer, await loop.sock_recv(stream, 5)) == (PEER, b"glued")
            given_up = asyncio.create_task(loop.sock_accept(listener))
            await asyncio.sleep(MOMENT)
            given_up.cancel()
            with pytest.raises(asyncio.CancelledError):
                await given_up

    with calling() as proxy:
        run(main(proxy))


@pytest.mark.parametrize("how", ["host", "sock", "outside"])
@pytest.mark.parametrize("starts", [True, False])
def test_a_server_that_listens_through_the_proxy(run: Run, how: str, starts: bool) -> None:
    async def main(proxy: Calling) -> None:
        served: asyncio.Queue[object] = asyncio.Queue()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peer = writer.get_extra_info("socket").getpeername()
            await served.put((peer, await reader.readexactly(5)))
            writer.close()
            await writer.wait_closed()

        with proxy.control() as control, socket.socket() as listener:
            listener.bind(("", 0))
            where: dict[str, Any] = {"host": "0.0.0.0", "port": 0}
            if how != "host":
                where = {"sock": listener} if how == "sock" else {"host": control.getsockname()[0], "port": 0}
            async with await asyncio.start_server(serve, **where, start_serving=starts) as server:
                await server.start_serving()
                assert server.sockets[0].getsockname() == proxy.listening == (OUTSIDE, 40001)
                for _ in range(3):
                    proxy.come(b"glued")
                    assert await served.get() == (PEER, b"glued")

    with calling() as proxy:
        run(main(proxy))


def test_tls_of_a_server_that_listens_through_the_proxy(run: Run, certificates: Certificates) -> None:
    """Its peer is no TLS client, which the loop is told; the next one may be."""

    async def main(proxy: Calling) -> Exception:
        told = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.set_result(context["exception"]))
        with proxy.control():
            async with await asyncio.start_server(lambda *_: None, "0.0.0.0", 0, ssl=certificates.server()):
                proxy.come(b"plain text")
                error: Exception = await told
                return error

    with calling() as proxy:
        assert isinstance(run(main(proxy)), ssl.SSLError)


def test_a_server_that_the_proxy_does_not_listen_for(run: Run) -> None:
    async def main(proxy: Calling) -> None:
        proxy.first = refuse(reply("socks5", 7, PEER))
        with proxy.control():
            await asyncio.start_server(lambda *_: None, "0.0.0.0", 0)

    with calling() as proxy, pytest.raises(OSError, match="BIND") as caught:
        run(main(proxy))
    assert caught.value.errno == EOPNOTSUPP


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_server_on_this_machine_stays_there(run: Run, host: str) -> None:
    """Though somebody might call."""

    async def main(proxy: Calling) -> type:
        with proxy.control():
            async with await asyncio.start_server(lambda *_: None, host, 0) as server:
                return type(server)

    with calling() as proxy:
        assert run(main(proxy)) is uvloop.loop.Server  # type: ignore[attr-defined]  # uvloop's stub lacks it
        assert proxy.binds == 0


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


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, "host and port was not specified"),
        ({"host": "127.0.0.1", "port": 9, "server_hostname": "x"}, "only meaningful with ssl"),
        ({"host": "127.0.0.1", "port": 9, "ssl_handshake_timeout": 1}, "only meaningful with ssl"),
        ({"host": "127.0.0.1", "port": 9, "local_addr": ("127.0.0.1",)}, "local_addr must be a tuple"),
        ({"host": "127.0.0.1", "port": 9, "sock": True}, "can not be specified at the same time"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_done(run: Run, options: Any, error: str) -> None:
    async def main() -> None:
        with socket.socket() as sock:
            if "sock" in options:
                options["sock"] = sock
            await asyncio.get_running_loop().create_connection(asyncio.Protocol, **options)

    with (
        BadProxy(good("socks5")) as proxy,
        routed(proxy.url(), routes=ANYWHERE),
        pytest.raises(ValueError, match=error),
    ):
        run(main())
    assert proxy.sessions == []


def test_strict_lets_it_in(knowing: Server, run: Run, echo_server: Target) -> None:
    with routed(knowing.url(), routes=(), strict=True):
        assert run(talk(NAME, echo_server.port))[0] == b"ping"
