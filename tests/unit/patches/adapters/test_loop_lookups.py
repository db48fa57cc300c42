"""The look-ups of loops, in any thread or process, and the functions by which loops send datagrams."""

from __future__ import annotations

import asyncio
import multiprocessing
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import anyio
import pytest
import trio
from anyio.abc import SocketAttribute

from socksify.routing import fake_addresses
from tests.support.bad_proxy import BadProxy
from tests.support.routing import routed
from tests.support.stepping import SECONDS
from tests.support.steps import good

# Nobody listens there.
PROXY = "socks5h://127.0.0.1:9"
FAR = ("203.0.113.5", 9)
NAME = "routed.example"


def in_trio(main: Callable[[], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        with trio.fail_after(SECONDS):
            return await main()

    return trio.run(bounded)


def in_asyncio(main: Callable[[], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        return await asyncio.wait_for(main(), SECONDS)

    return asyncio.run(bounded())


def in_anyio(backend: str) -> Callable[[Callable[[], Awaitable[Any]]], Any]:
    async def bounded(main: Callable[[], Awaitable[Any]]) -> Any:
        with anyio.fail_after(SECONDS):
            return await main()

    return lambda main: anyio.run(bounded, main, backend=backend)


def _in_executor(executor: Any) -> Callable[[], Any]:
    async def main() -> Any:
        with executor() as pool:
            return await asyncio.get_running_loop().run_in_executor(pool, socket.getaddrinfo, NAME, 80)

    return lambda: in_asyncio(main)


def forked() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("fork"))


LOOK_UPS: dict[str, Callable[[], Any]] = {
    "loop.getaddrinfo": lambda: in_asyncio(lambda: asyncio.get_running_loop().getaddrinfo(NAME, 80)),
    "a thread": _in_executor(lambda: ThreadPoolExecutor(1)),
    "trio": lambda: in_trio(lambda: trio.socket.getaddrinfo(NAME, 80)),
    "anyio, asyncio": lambda: in_anyio("asyncio")(lambda: anyio.getaddrinfo(NAME, 80)),
    "anyio, trio": lambda: in_anyio("trio")(lambda: anyio.getaddrinfo(NAME, 80)),
}
REVERSE: dict[str, Callable[[tuple[str, int]], Any]] = {
    "loop.getnameinfo": lambda address: in_asyncio(lambda: asyncio.get_running_loop().getnameinfo(address)),
    "trio": lambda address: in_trio(lambda: trio.socket.getnameinfo(address, 0)),
    "anyio, asyncio": lambda address: in_anyio("asyncio")(lambda: anyio.getnameinfo(address)),
    "anyio, trio": lambda address: in_anyio("trio")(lambda: anyio.getnameinfo(address)),
}


@pytest.mark.parametrize("way", LOOK_UPS)
def test_a_look_up(way: str) -> None:
    with routed(PROXY, routes=()):
        assert {item[4][0] for item in LOOK_UPS[way]()} == {fake_addresses.TABLE.address_of(NAME)}


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_look_up_in_a_forked_process() -> None:
    """A name that the parent knows has the same address there; one that only the child knows leads nowhere here."""
    with routed(PROXY, routes=()), forked() as pool:
        known = socket.gethostbyname(NAME)
        assert pool.submit(socket.gethostbyname, NAME).result(SECONDS) == known
        unknown = pool.submit(socket.gethostbyname, "of-the-child.example").result(SECONDS)
        assert unknown != known
        with socket.socket() as sock, pytest.raises(PermissionError, match="fake address"):
            sock.connect((unknown, 80))


@pytest.mark.parametrize("way", REVERSE)
def test_a_look_up_backwards(way: str) -> None:
    with routed(PROXY, routes=()):
        assert REVERSE[way]((socket.gethostbyname(NAME), 80)) == (NAME, "http")
        assert REVERSE[way](("203.0.113.5", 80)) == ("203.0.113.5", "http")


class Protocol(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.error: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()

    def error_received(self, error: Exception) -> None:
        if not self.error.done():
            self.error.set_result(error)


@pytest.mark.parametrize("remote", [FAR, (NAME, 9), None])
def test_an_asyncio_endpoint(remote: tuple[str, int] | None) -> None:
    async def main() -> Exception:
        loop = asyncio.get_running_loop()
        family = socket.AF_INET if remote is None else 0
        transport, protocol = await loop.create_datagram_endpoint(Protocol, remote_addr=remote, family=family)
        try:
            transport.sendto(b"ping", FAR if remote is None else None)
            return await protocol.error
        finally:
            transport.close()

    with routed(PROXY, routes=()):
        error = in_asyncio(main)
        assert isinstance(error, PermissionError)
        assert "UDP to" in str(error)


@pytest.mark.parametrize("address", [FAR, (NAME, 9)])
def test_loop_sock_sendto(address: tuple[str, int]) -> None:
    async def main() -> None:
        with socket.socket(type=socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_sendto(sock, b"ping", address)

    with routed(PROXY, routes=()), pytest.raises(PermissionError, match="UDP to"):
        in_asyncio(main)


@pytest.mark.parametrize("address", [FAR, (NAME, 9)])
@pytest.mark.parametrize("is_connected", [True, False])
def test_trio_datagrams(address: tuple[str, int], is_connected: bool) -> None:
    async def main() -> None:
        with trio.socket.socket(type=socket.SOCK_DGRAM) as sock:
            if is_connected:
                await sock.connect(address)
                await sock.send(b"ping")
            else:
                await sock.sendto(b"ping", address)

    with routed(PROXY, routes=()), pytest.raises(PermissionError, match="UDP to"):
        in_trio(main)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("host", [FAR[0], NAME])
@pytest.mark.parametrize("is_connected", [True, False])
def test_anyio_datagrams(backend: str, host: str, is_connected: bool) -> None:
    async def main() -> None:
        if is_connected:
            async with await anyio.create_connected_udp_socket(host, 9) as connected:
                await connected.send(b"ping")
        else:
            async with await anyio.create_udp_socket(socket.AF_INET) as unconnected:
                await unconnected.sendto(b"ping", host, 9)

    with routed(PROXY, routes=()), pytest.raises((PermissionError, anyio.BrokenResourceError)) as caught:
        in_anyio(backend)(main)
    # On trio, anyio has a word of its own for every OSError.
    error = caught.value.__cause__ if backend == "trio" else caught.value
    assert isinstance(error, PermissionError)
    assert "UDP to" in str(error)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_datagrams_to_where_it_is_direct(backend: str) -> None:
    async def main() -> bytes:
        async with await anyio.create_udp_socket(socket.AF_INET, local_host="127.0.0.1") as receiver:
            port = receiver.extra(SocketAttribute.local_port)
            async with await anyio.create_connected_udp_socket("127.0.0.1", port) as sender:
                await sender.send(b"ping")
                answer, _ = await receiver.receive()
                return answer

    with routed(PROXY, routes=()):
        assert in_anyio(backend)(main) == b"ping"


def test_a_trio_socket_may_send_again() -> None:
    """To another peer, and when nobody routes any more."""

    async def main() -> list[bytes]:
        with trio.socket.socket(type=socket.SOCK_DGRAM) as receiver, trio.socket.socket(type=socket.SOCK_DGRAM) as sock:
            await receiver.bind(("127.0.0.1", 0))
            with routed(PROXY, routes=()):
                for _ in range(2):
                    await sock.connect(FAR)
                    with pytest.raises(PermissionError, match="UDP to"):
                        await sock.send(b"lost")
                await sock.connect(receiver.getsockname())
                await sock.send(b"routed")
            await sock.send(b"unrouted")
            return [await receiver.recv(100), await receiver.recv(100)]

    assert in_trio(main) == [b"routed", b"unrouted"]


def test_streams_by_name_tell_the_proxy_the_name() -> None:
    with BadProxy(good("socks5", reply=4)) as proxy, routed(proxy.url(), routes=()):
        for run, opening in (
            (in_trio, lambda: trio.open_tcp_stream(NAME, 80)),
            (in_anyio("trio"), lambda: anyio.connect_tcp(NAME, 80)),
            (in_anyio("asyncio"), lambda: anyio.connect_tcp(NAME, 80)),
            (in_asyncio, lambda: asyncio.open_connection(NAME, 80)),
        ):
            with pytest.raises(OSError, match=r"(?i)all attempts|all connection|connect call failed"):
                run(opening)
        assert [session.target for session in proxy.sessions] == [(NAME, 80)] * 4
