"""uvloop, unmodified, over tunnels: connections and look-ups, in loops that were made before install() and after."""

from __future__ import annotations

import asyncio
import socket
from errno import EINPROGRESS, EINVAL
from typing import Any

import pytest
import uvloop

import socksify
from tests.support.asyncio_streams import BANNER, GREETED, first_line, given_up
from tests.support.bad_proxy import BadProxy
from tests.support.certificates import NAME, Certificates
from tests.support.routing import routed
from tests.support.servers import Server
from tests.support.stepping import ANYWHERE, MOMENT, TARGET, begin, stepping
from tests.support.steps import HANG, READ_GREETING, good, trickled
from tests.support.targets import Target
from tests.unit.patches.adapters.uvloop_runner import Run


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
