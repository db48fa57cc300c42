"""uvloop's datagram endpoints, and its servers: on this machine, and through the proxy."""

from __future__ import annotations

import asyncio
import socket
import ssl
from errno import EOPNOTSUPP
from typing import Any

import pytest
import uvloop

from tests.support.bind_proxy import OUTSIDE, PEER, BindProxy, bind_proxy, refuse, reply
from tests.support.certificates import Certificates
from tests.support.routing import routed
from tests.support.stepping import MOMENT, SECONDS
from tests.unit.patches.adapters.uvloop_runner import Run


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

    async def main(proxy: BindProxy) -> None:
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

    with bind_proxy() as proxy:
        run(main(proxy))


@pytest.mark.parametrize("how", ["host", "sock", "outside"])
@pytest.mark.parametrize("starts", [True, False])
def test_a_server_that_listens_through_the_proxy(run: Run, how: str, starts: bool) -> None:
    async def main(proxy: BindProxy) -> None:
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

    with bind_proxy() as proxy:
        run(main(proxy))


def test_tls_of_a_server_that_listens_through_the_proxy(run: Run, certificates: Certificates) -> None:
    """Its peer is no TLS client, which the loop is told; the next one may be."""

    async def main(proxy: BindProxy) -> Exception:
        told = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.set_result(context["exception"]))
        with proxy.control():
            async with await asyncio.start_server(lambda *_: None, "0.0.0.0", 0, ssl=certificates.server()):
                proxy.come(b"plain text")
                error: Exception = await told
                return error

    with bind_proxy() as proxy:
        assert isinstance(run(main(proxy)), ssl.SSLError)


def test_a_server_that_the_proxy_does_not_listen_for(run: Run) -> None:
    async def main(proxy: BindProxy) -> None:
        proxy.first = refuse(reply("socks5", 7, PEER))
        with proxy.control():
            await asyncio.start_server(lambda *_: None, "0.0.0.0", 0)

    with bind_proxy() as proxy, pytest.raises(OSError, match="BIND") as caught:
        run(main(proxy))
    assert caught.value.errno == EOPNOTSUPP


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_server_on_this_machine_stays_there(run: Run, host: str) -> None:
    """Though somebody might call."""

    async def main(proxy: BindProxy) -> type:
        with proxy.control():
            async with await asyncio.start_server(lambda *_: None, host, 0) as server:
                return type(server)

    with bind_proxy() as proxy:
        assert run(main(proxy)) is uvloop.loop.Server  # type: ignore[attr-defined]  # uvloop's stub lacks it
        assert proxy.binds == 0
