"""Servers with a block of via() for each request, also if they were there before install(), or run without it."""

from __future__ import annotations

import asyncio
import http.server
import json
import pickle
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import socksify
from socksify.patches import executors, scope
from tests.integration.via.world import SECONDS, World, async_answerer, run, saying, world
from tests.support.bad_proxy import BadProxy
from tests.support.routing import routed
from tests.support.servers import Server
from tests.support.steps import good
from tests.support.targets import PAGE, Target, serving

pytestmark = pytest.mark.usefixtures("uninstalled")


def test_an_executor_that_was_there_before_install() -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        with world() as proxies:
            with socksify.via(proxies.b.url()):
                assert pool.submit(proxies.answerer).result() == "b"
            assert pool.submit(proxies.answerer).result() == "a"
        assert pool.submit(int).result() == 0


def test_a_process_without_socksify_does_not_go_unproxied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one that is started afresh where nothing tells it to install."""
    work = pickle.loads(pickle.dumps(executors._Work((("socks5h://192.0.2.1:1080",), None), None, len)))
    assert "192.0.2.1" not in repr(work)
    monkeypatch.setattr(scope, "installed", scope.InstalledScope())
    with pytest.raises(RuntimeError, match="not installed in the process"):
        work("abc")


def test_a_look_up_by_the_loop_is_the_blocks() -> None:
    """run_in_executor() does not copy the context: without us the name would be given away, or not be found."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with socksify.via("socks5h://192.0.2.1:1080"):
            assert str((await loop.getaddrinfo("name.invalid", 80))[0][4][0]).startswith("198.1")
        with pytest.raises(socket.gaierror):
            await loop.getaddrinfo("name.invalid", 80)

    socksify.install("socks5://192.0.2.1:1080")
    try:
        run(main())
    finally:
        socksify.uninstall()


class Relay(http.server.BaseHTTPRequestHandler):
    """Answers each request by what it learns through the proxy that the request names."""

    proxies: World

    def do_GET(self) -> None:
        _, which, number = self.path.split("/")
        with socksify.via({"a": "proxy", "b": self.proxies.b.url(), "T": "direct"}[which]):
            found = self.proxies.answerer(self.proxies.target if which == "T" else (f"{which}{number}.example", 80))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(found.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_each_request_of_a_threaded_server_has_its_own() -> None:
    # Loopback is direct here, so that the requests themselves are.
    with world(("127.0.0.0/8=direct", "*=proxy")) as proxies:
        handler = type("Handler", (Relay,), {"proxies": proxies})
        with serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)) as server:
            base = f"http://127.0.0.1:{server.server_address[1]}"

            def request(path: str) -> str:
                with urllib.request.urlopen(base + path, timeout=SECONDS) as answer:
                    return str(answer.read().decode())

            paths = [f"/{which}/{number}" for number in range(20) for which in "abT"]
            with ThreadPoolExecutor(8) as pool:
                assert list(pool.map(request, paths)) == list("abT" * 20)
        assert tuple(map(set, proxies.asked())) == tuple(
            {(f"{which}{number}.example", 80) for number in range(20)} for which in "ab"
        )


def test_each_connection_of_an_asyncio_server_has_its_own() -> None:
    async def main(proxies: World) -> None:
        ways = {"a": "proxy", "b": proxies.b.url()}

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            which, number = (await reader.readline()).decode().split()
            with socksify.via(ways[which]):
                writer.write((await async_answerer(proxies, (f"{which}{number}.example", 80))).encode())
                await writer.drain()
            writer.close()
            await writer.wait_closed()

        async def ask(which: str, number: int) -> bytes:
            reader, writer = await asyncio.open_connection(*address)
            writer.write(f"{which} {number}\n".encode())
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            return answer

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            address = server.sockets[0].getsockname()
            answers = await asyncio.gather(*(ask(which, number) for number in range(30) for which in "ab"))
        assert answers == [b"a", b"b"] * 30

    with world(("127.0.0.0/8=direct", "*=proxy")) as proxies:
        run(main(proxies))
        assert tuple(map(set, proxies.asked())) == tuple(
            {(f"{which}{number}.example", 80) for number in range(30)} for which in "ab"
        )


def test_each_request_of_an_aiohttp_server_has_its_own() -> None:
    """The requests come by keep-alive connections, several by each."""
    from aiohttp import ClientSession, web

    async def main(proxies: World) -> None:
        ways = {"a": "proxy", "b": proxies.b.url()}

        async def handle(request: web.Request) -> web.Response:
            which, number = request.match_info["which"], request.match_info["number"]
            with socksify.via(ways[which]):
                return web.Response(text=await async_answerer(proxies, (f"{which}{number}.example", 80)))

        application = web.Application()
        application.router.add_get("/{which}/{number}", handle)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        (host, port) = runner.addresses[0]

        async def ask(path: str) -> str:
            async with session.get(f"http://{host}:{port}{path}") as answer:
                return await answer.text()

        async with ClientSession() as session:
            paths = [f"/{which}/{number}" for number in range(20) for which in "ab"]
            assert await asyncio.gather(*map(ask, paths)) == list("ab" * 20)
        await runner.cleanup()

    with world(("127.0.0.0/8=direct", "*=proxy")) as proxies:
        run(main(proxies))
        assert tuple(map(set, proxies.asked())) == tuple(
            {(f"{which}{number}.example", 80) for number in range(20)} for which in "ab"
        )


def test_a_pooled_connection_keeps_its_way(http_server: Target) -> None:
    import requests

    with (
        BadProxy(good("socks5")) as first,
        BadProxy(good("socks5")) as second,
        routed(first.url()),
        requests.Session() as session,
    ):
        assert session.get(http_server.url, timeout=SECONDS).content == PAGE
        with socksify.via(second.url()):
            assert session.get(http_server.url, timeout=SECONDS).content == PAGE
            assert (len(first.sessions), len(second.sessions)) == (1, 0)
            assert requests.get(http_server.url, timeout=SECONDS).content == PAGE
        assert (len(first.sessions), len(second.sessions)) == (1, 1)


PROGRAM = """
import asyncio, socket, sys, socksify

def answerer():
    with socket.create_connection(("name.example", 80), timeout=10) as sock:
        return sock.recv(1).decode()

async def main():
    with socksify.via(sys.argv[1]):
        return await asyncio.get_running_loop().run_in_executor(None, answerer)

print(asyncio.run(main()), answerer())
"""


def test_a_launched_program() -> None:
    """It imports its executors after us."""
    with BadProxy(saying(b"a")) as a, BadProxy(saying(b"b")) as b:
        words = [sys.executable, "-m", "socksify", "--proxy", a.url(), "-c", PROGRAM, b.url()]
        child = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert (child.stdout, child.stderr) == ("b a\n", "")


def test_twisted() -> None:
    with BadProxy(saying(b"a")) as a, BadProxy(saying(b"b")) as b:
        program = Path(__file__).with_name("twisted_program.py")
        words = [sys.executable, "-m", "socksify", "--proxy", a.url(), str(program), b.url()]
        child = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert child.stderr == ""
        assert json.loads(child.stdout) == [["b"] * 5, ["a"] * 5, ["a"] * 5]


def test_real_proxies(danted_with_password: Server, microsocks: Server, http_server: Target) -> None:
    """That Dante is asked, its verdict on a wrong password shows."""

    def fetch() -> bytes:
        with urllib.request.urlopen(http_server.url, timeout=SECONDS) as answer:
            return bytes(answer.read())

    dante = danted_with_password
    wrong = f"socks5h://alice:wrong@{dante.host}:{dante.port}"
    with routed(microsocks.url()):
        for vias in (dante.url(), [microsocks.url(), dante.url("socks5")], ["proxy", dante.url()]):
            with socksify.via(vias):
                assert fetch() == PAGE
        for vias in (wrong, ["proxy", wrong]):
            with socksify.via(vias), pytest.raises(urllib.error.URLError) as caught:
                fetch()
            assert isinstance(caught.value.reason, PermissionError)
        assert fetch() == PAGE
