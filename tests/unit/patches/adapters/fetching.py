"""Functions that fetch the page at a URL, each by another library, which looks up the host's name in its own way."""

from __future__ import annotations

import asyncio
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import aiohttp.abc
import aiohttp.resolver
import anyio
import httpx
import requests
import tornado.httpclient
import tornado.netutil
import trio
import urllib3

SECONDS = 10.0


def by_urllib(url: str) -> bytes:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=SECONDS) as response:
        page: bytes = response.read()
        return page


def by_urllib3(url: str) -> bytes:
    with urllib3.PoolManager(timeout=SECONDS, retries=False) as pool:
        return pool.request("GET", url).data


def by_requests(url: str) -> bytes:
    return requests.get(url, timeout=SECONDS).content


async def by_httpx(url: str) -> bytes:
    async with httpx.AsyncClient(timeout=SECONDS) as client:
        return (await client.get(url)).content


async def by_aiohttp(url: str, resolver: Callable[[], aiohttp.abc.AbstractResolver]) -> bytes:
    looker = resolver()
    try:
        connector = aiohttp.TCPConnector(resolver=looker)
        async with aiohttp.ClientSession(connector=connector) as session, session.get(url) as response:
            return await response.read()
    finally:
        await looker.close()


async def by_aiodns(url: str) -> bytes:
    return await by_aiohttp(url, aiohttp.resolver.AsyncResolver)


async def by_threads(url: str) -> bytes:
    return await by_aiohttp(url, aiohttp.resolver.ThreadedResolver)


async def by_tornado(url: str) -> bytes:
    client = tornado.httpclient.AsyncHTTPClient(force_instance=True)
    try:
        return (await client.fetch(url, request_timeout=SECONDS)).body
    finally:
        client.close()


async def by_tornado_threads(url: str) -> bytes:
    tornado.netutil.Resolver.configure("tornado.netutil.ThreadedResolver")
    try:
        return await by_tornado(url)
    finally:
        tornado.netutil.Resolver.configure(None)


async def by_tornado_cares(url: str) -> bytes:
    tornado.netutil.Resolver.configure("tornado.platform.caresresolver.CaresResolver")
    # The attribute `resolver` is its implementation's.
    client: Any = tornado.httpclient.AsyncHTTPClient(force_instance=True)
    try:
        body: bytes = (await client.fetch(url, request_timeout=SECONDS)).body
        return body
    finally:
        client.resolver.channel.close()
        client.close()
        tornado.netutil.Resolver.configure(None)


async def by_streams(url: str) -> bytes:
    host, port, request = _request(url)
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return _body(answer)


async def by_trio(url: str) -> bytes:
    host, port, request = _request(url)
    answer = b""
    with trio.fail_after(SECONDS):
        async with await trio.open_tcp_stream(host, port) as stream:
            await stream.send_all(request)
            async for piece in stream:
                answer += piece
    return _body(answer)


async def by_anyio(url: str) -> bytes:
    host, port, request = _request(url)
    answer = b""
    with anyio.fail_after(SECONDS):
        async with await anyio.connect_tcp(host, port) as stream:
            await stream.send(request)
            async for piece in stream:
                answer += piece
    return _body(answer)


def _request(url: str) -> tuple[str, int, bytes]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    request = f"GET {parts.path} HTTP/1.1\r\nHost: {parts.hostname}\r\nConnection: close\r\n\r\n"
    return parts.hostname, parts.port, request.encode()


def _body(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def in_asyncio(fetch: Callable[[str], Awaitable[bytes]]) -> Callable[[str], bytes]:
    async def main(url: str) -> bytes:
        return await asyncio.wait_for(fetch(url), SECONDS)

    return lambda url: asyncio.run(main(url))


def in_trio(fetch: Callable[[str], Awaitable[bytes]]) -> Callable[[str], bytes]:
    def run(url: str) -> bytes:
        page: bytes = trio.run(fetch, url)
        return page

    return run


FETCH: dict[str, Callable[[str], bytes]] = {
    "urllib": by_urllib,
    "urllib3": by_urllib3,
    "requests": by_requests,
    "httpx": lambda url: httpx.get(url, timeout=SECONDS).content,
    "httpx, asyncio": in_asyncio(by_httpx),
    "httpx, trio": in_trio(by_httpx),
    "aiohttp, aiodns": in_asyncio(by_aiodns),
    "aiohttp, threads": in_asyncio(by_threads),
    "asyncio": in_asyncio(by_streams),
    "trio": in_trio(by_trio),
    "anyio, asyncio": in_asyncio(by_anyio),
    "anyio, trio": in_trio(by_anyio),
    "tornado": in_asyncio(by_tornado),
    "tornado, threads": in_asyncio(by_tornado_threads),
    "tornado, c-ares": in_asyncio(by_tornado_cares),
}

# What each makes of a host that cannot be reached.
ERRORS: dict[str, type[Exception] | tuple[type[Exception], ...]] = {
    "urllib": OSError,
    "urllib3": urllib3.exceptions.HTTPError,
    "requests": requests.ConnectionError,
    "httpx": httpx.ConnectError,
    "aiohttp": aiohttp.ClientConnectorError,
    "asyncio": OSError,
    "trio": OSError,
    "anyio": OSError,
    "tornado": OSError,
}


def causes(error: BaseException | None) -> list[BaseException]:
    """An exception, and all that led to it: causes, contexts, reasons, members of groups."""
    if error is None:
        return []
    nested: list[Any] = [error.__cause__, error.__context__, getattr(error, "reason", None), *error.args]
    nested += getattr(error, "exceptions", ())
    return [error, *(each for more in nested if isinstance(more, BaseException) for each in causes(more))]
