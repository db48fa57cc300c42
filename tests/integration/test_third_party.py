"""Third-party clients, unmodified, in this very process: imported before install(), and through a real server."""

from __future__ import annotations

import asyncio
import ssl

import aiohttp
import httpx
import pytest
import requests

import socksify
from tests.support.bad_proxy import BadProxy
from tests.support.certificates import Certificates
from tests.support.routing import LOOPBACK, routed
from tests.support.servers import Server
from tests.support.stepping import ANYWHERE
from tests.support.steps import good
from tests.support.targets import PAGE, Target

REFUSED = good("socks5", reply=5)


async def by_httpx(url: str) -> bytes:
    async with httpx.AsyncClient() as client:
        return (await client.get(url)).content


async def by_aiohttp(url: str) -> bytes:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return await response.read()


CLIENTS = {
    "requests": lambda url: requests.get(url, timeout=10).content,
    "httpx": lambda url: httpx.get(url).content,
    "httpx async": lambda url: asyncio.run(by_httpx(url)),
    "aiohttp": lambda url: asyncio.run(by_aiohttp(url)),
}
ERRORS = {
    "requests": requests.ConnectionError,
    "httpx": httpx.ConnectError,
    "httpx async": httpx.ConnectError,
    "aiohttp": aiohttp.ClientConnectorError,
}


@pytest.mark.parametrize("client", CLIENTS)
def test_a_page_is_fetched(proxy: Server, client: str, http_server: Target) -> None:
    with routed(proxy.url()):
        assert CLIENTS[client](f"{http_server.url}/") == PAGE


@pytest.mark.parametrize("client", CLIENTS)
def test_it_went_through_the_proxy(client: str, http_server: Target) -> None:
    with BadProxy(good("socks5")) as proxy, routed(proxy.url()):
        assert CLIENTS[client](f"{http_server.url}/") == PAGE
        assert [session.target for session in proxy.sessions] == [http_server.address]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_refusal_is_the_clients_own_connection_error(client: str) -> None:
    with BadProxy(REFUSED) as proxy, routed(proxy.url(), routes=ANYWHERE), pytest.raises(ERRORS[client]):
        CLIENTS[client]("http://203.0.113.5/")


@pytest.mark.parametrize("client", CLIENTS)
def test_the_proxy_variable_in_force_is_no_obstacle(
    monkeypatch: pytest.MonkeyPatch, client: str, http_server: Target
) -> None:
    """httpx and requests would want a SOCKS library of their own, did they see it."""
    with BadProxy(good("socks5")) as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.url())
        socksify.install(routes=list(LOOPBACK))
        try:
            assert CLIENTS[client](f"{http_server.url}/") == PAGE
            assert len(proxy.sessions) == 1
        finally:
            socksify.uninstall()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize("upgrade", ["create_connection", "start_tls"])
def test_asyncio_speaks_tls(microsocks: Server, certificates: Certificates, upgrade: str) -> None:
    async def main(context: ssl.SSLContext) -> bytes:
        served = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readexactly(4))
            writer.close()
            await writer.wait_closed()
            served.set()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=certificates.server())
        async with server:
            address = server.sockets[0].getsockname()
            options = {"ssl": context, "server_hostname": "target.example"} if upgrade == "create_connection" else {}
            reader, writer = await asyncio.open_connection(*address, **options)  # type: ignore[arg-type]
            if upgrade == "start_tls":
                await writer.start_tls(context, server_hostname="target.example")
            writer.write(b"ping")
            answer = await reader.readexactly(4)
            assert writer.get_extra_info("peername") == address
            writer.close()
            await writer.wait_closed()
            await served.wait()
            return answer

    with routed(microsocks.url()):
        assert asyncio.run(asyncio.wait_for(main(certificates.client()), 20)) == b"ping"
