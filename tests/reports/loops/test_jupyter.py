"""A real Jupyter kernel, driven by a real client: socksify is installed in a cell of it, and taken out in another."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

from tests.support.bad_proxy import BadProxy
from tests.support.steps import good
from tests.support.targets import PAGE, Target

SECONDS = 60


class Notebook:
    """Runs cells, one after another, in one kernel."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def cell(self, code: str) -> str:
        """What a cell's last line is; fails if it raises, or if anything is printed."""
        shown: list[str] = []

        def note(message: dict[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] == "execute_result":
                shown.append(content["data"]["text/plain"])
            elif message["msg_type"] in ("stream", "error"):
                pytest.fail(content.get("text") or content["evalue"])

        reply = self._client.execute_interactive(code, timeout=SECONDS, output_hook=note)
        assert reply["content"]["status"] == "ok"
        return "".join(shown)


@contextlib.contextmanager
def kernel(*launcher: str) -> Iterator[Notebook]:
    manager = KernelManager()
    argv = [sys.executable, *launcher, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    manager._kernel_spec = KernelSpec(argv=argv, display_name="", language="python")
    manager.start_kernel()
    client = manager.client()
    try:
        client.start_channels()
        client.wait_for_ready(timeout=SECONDS)
        yield Notebook(client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


FETCHES = {
    "urllib": "import urllib.request; urllib.request.urlopen({url!r}, timeout=30).read()",
    "requests": "import requests; requests.get({url!r}, timeout=30).content",
    "httpx": """
import httpx
async with httpx.AsyncClient() as client:
    response = await client.get({url!r})
response.content""",
    "asyncio": """
import asyncio
reader, writer = await asyncio.open_connection({host!r}, {port})
writer.write(b"GET / HTTP/1.0\\r\\n\\r\\n")
page = (await reader.read()).partition(b"\\r\\n\\r\\n")[2]
writer.close()
page""",
    "a task that goes on while other cells run": """
async def fetch():
    reader, writer = await asyncio.open_connection({host!r}, {port})
    writer.write(b"GET / HTTP/1.0\\r\\n\\r\\n")
    return (await reader.read()).partition(b"\\r\\n\\r\\n")[2]
task = asyncio.create_task(fetch())
await task""",
}


# Of jupyter_client's making.
pytestmark = pytest.mark.filterwarnings("ignore:Kernel is running over TCP without encryption")


def route(server: Target) -> str:
    """What is on loopback otherwise stays direct: the kernel talks to its clients there, and to itself."""
    return f"{server.host}:{server.port}=proxy"


def fetched(notebook: Notebook, server: Target) -> list[str]:
    where = {"url": f"{server.url}/", "host": server.host, "port": server.port}
    return [notebook.cell(fetch.format(**where)) for fetch in FETCHES.values()]


@pytest.mark.parametrize("strict", [False, True])
def test_installed_in_a_cell(strict: bool, http_server: Target) -> None:
    pages = [repr(PAGE)] * len(FETCHES)
    with BadProxy(good("socks5")) as proxy, kernel() as notebook:
        notebook.cell(
            f"import socksify; socksify.install({proxy.url()!r}, routes=[{route(http_server)!r}], strict={strict})"
        )
        assert fetched(notebook, http_server) == pages
        seen = [session.target for session in proxy.sessions]
        assert seen == [http_server.address] * len(FETCHES)
        notebook.cell("socksify.uninstall()")
        assert fetched(notebook, http_server) == pages
        assert len(proxy.sessions) == len(seen)


def test_a_kernel_under_the_launcher(http_server: Target) -> None:
    with BadProxy(good("socks5")) as proxy:
        options = ("-m", "socksify", "--strict", "--seal=off", "--proxy", proxy.url(), "--route", route(http_server))
        with kernel(*options) as notebook:
            assert fetched(notebook, http_server) == [repr(PAGE)] * len(FETCHES)
        assert [session.target for session in proxy.sessions] == [http_server.address] * len(FETCHES)
